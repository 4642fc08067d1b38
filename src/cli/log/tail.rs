//! `rkgate log tail`.

use std::{
    io::{self, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

use anstyle::AnsiColor;
use chrono::{DateTime, Local};
use clap::Args;

use super::{
    Failure,
    filter::Filters,
    paint::{self, Paint},
    unreadable,
};
use crate::{
    cli::Format,
    promptlog::{Kept, Reader, Summary},
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    filters: Filters,
    /// How many of the latest to show.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    lines: usize,
    /// Also show those that come, until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// How to print them.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Time between two looks at the log. Its writer may be another process, which has no way to call us.
const LOOK: Duration = Duration::from_millis(200);
/// Records that are printed between two looks at most.
const CHUNK: usize = 1000;

pub(super) fn run(reader: &mut Reader, options: &Options) -> Result<ExitCode, Failure> {
    let filter = options.filters.filter();
    let paint = Paint::for_stdout();
    let mut out = io::stdout().lock();
    // Before the page, so that nothing falls between the two.
    let mut seen = reader.newest().map_err(unreadable)?;
    let before = Some(seen.saturating_add(1));
    let page = reader
        .page(&filter, before, options.lines)
        .map_err(unreadable)?;
    for summary in page.records.iter().rev() {
        write(&mut out, options.format, paint, summary)?;
    }
    out.flush()?;
    if !options.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        thread::park_timeout(LOOK);
        let newest = reader.newest().map_err(unreadable)?;
        if newest <= seen {
            if reader.turn().map_err(unreadable)? {
                seen = 0;
            }
            continue;
        }
        let new = reader.newer(&filter, seen, CHUNK).map_err(unreadable)?;
        for summary in &new {
            write(&mut out, options.format, paint, summary)?;
        }
        out.flush()?;
        seen = match new.last() {
            Some(last) if new.len() == CHUNK => last.id,
            _ => newest,
        };
    }
}

fn write(out: &mut impl Write, format: Format, paint: Paint, summary: &Summary) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{}", summary.to_json()),
        Format::Text => writeln!(out, "{}", line(summary, paint)),
    }
}

/// A record on one line.
fn line(summary: &Summary, paint: Paint) -> String {
    let record = &summary.record;
    let time = DateTime::from_timestamp_millis(record.time).unwrap_or_default();
    let time = time.with_timezone(&Local).format("%m-%d %H:%M:%S");
    let status = match record.status {
        200..400 => paint.colour(AnsiColor::Green, &record.status.to_string()),
        400..500 => paint.colour(AnsiColor::Yellow, &record.status.to_string()),
        _ => paint.colour(AnsiColor::Red, &record.status.to_string()),
    };
    let class = match record.class.strip_prefix("task/") {
        Some(task) => paint.dim(&format!("{:<22}", task)),
        None => paint.colour(AnsiColor::Cyan, &format!("{:<22}", record.class)),
    };
    let model = if record.model.is_empty() {
        &record.asked
    } else {
        &*record.model
    };
    let seconds = |time: Duration| format!("{:.1}s", time.as_secs_f64());
    let first = record.timings.first_token.map_or("-".to_owned(), seconds);
    let mut line = format!(
        "{} {:>6} {status} {class} {:<20} {first:>6} {:>6}",
        paint.dim(&time.to_string()),
        summary.id,
        paint::line(model),
        seconds(record.timings.total),
    );
    if let Some(usage) = record.usage {
        line += &format!(" {:>5}+{:<4}", usage.prompt, usage.completion);
        if usage.cached > 0 {
            line += &paint.dim(&format!(" ({} reused)", usage.cached));
        }
    }
    if let Some(speed) = record.timings.tokens_per_second(record.usage) {
        line += &format!(" {speed:.1}/s");
    }
    if let Some(error) = &record.error {
        let error = paint::line(error);
        line += &format!("  {}", paint.colour(AnsiColor::Red, &error));
    }
    if record.kept == Kept::Damaged {
        line += &format!("  {}", paint.colour(AnsiColor::Red, "damaged"));
    }
    if !summary.preview.is_empty() {
        line += &format!("  {}", paint::line(&summary.preview));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promptlog::Record;

    #[test]
    fn a_damaged_record_is_marked() {
        let summary = Summary {
            id: 1,
            record: Record {
                kept: Kept::Damaged,
                ..Record::default()
            },
            preview: String::new(),
        };
        let line = line(&summary, Paint::chosen(clap::ColorChoice::Never));
        assert!(line.ends_with("  damaged"), "{line}");
    }

    #[test]
    fn a_line_has_colours_where_they_are_wanted() {
        let summary = Summary {
            id: 1,
            record: Record {
                status: 503,
                ..Record::default()
            },
            preview: "hello".to_owned(),
        };
        let of = |choice| line(&summary, Paint::chosen(choice));
        let plain = of(clap::ColorChoice::Never);
        assert!(!plain.contains('\u{1b}'), "{plain}");
        let coloured = of(clap::ColorChoice::Always);
        assert!(coloured.contains("\u{1b}["), "{coloured}");
    }

    #[test]
    fn a_record_is_one_line_whatever_its_client_wrote() {
        let forged = "x\n11-23 05:00:00 9999 200 chat FORGED";
        let summary = Summary {
            id: 1,
            record: Record {
                asked: forged.to_owned(),
                error: Some(format!("the model `{forged}\r` does not exist")),
                ..Record::default()
            },
            preview: forged.to_owned(),
        };
        let line = line(&summary, Paint::chosen(clap::ColorChoice::Never));
        assert_eq!(line.matches("\\n11-23").count(), 3, "{line}");
        assert!(!line.contains(['\n', '\r']), "{line}");
    }
}
