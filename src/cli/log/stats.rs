//! `rkgate log stats`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{Failure, code, filter::Filters, paint, unreadable};
use crate::{
    cli::Format,
    promptlog::{Group, Quantiles, Reader},
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    filters: Filters,
    /// How to print them.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(reader: &mut Reader, options: &Options) -> Result<ExitCode, Failure> {
    let groups = reader
        .stats(&options.filters.filter())
        .map_err(unreadable)?;
    let mut out = io::stdout().lock();
    match options.format {
        Format::Json => {
            let json = serde_json::to_string_pretty(&groups)
                .map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
            writeln!(out, "{json}")?;
        }
        Format::Text => {
            writeln!(
                out,
                "{:<28} {:<22} {:>8} {:>6} {:>10} {:>7} {:>10} {:>15} {:>15} {:>13}",
                "class",
                "model",
                "requests",
                "failed",
                "prompt",
                "reused",
                "generated",
                "ttft p50/95 s",
                "total p50/95 s",
                "tok/s p50/95",
            )?;
            for group in &groups {
                writeln!(out, "{}", line(group))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(group: &Group) -> String {
    let sums = &group.sums;
    let reused = match sums.prompt_tokens {
        0 => "-".to_owned(),
        prompt => format!("{:.0} %", 100.0 * sums.cached_tokens as f64 / prompt as f64),
    };
    let pair = |values: Option<Quantiles>, unit: f64| {
        values.map_or("-".to_owned(), |Quantiles { p50, p95 }| {
            format!("{:.2}/{:.2}", p50 / unit, p95 / unit)
        })
    };
    format!(
        "{:<28} {:<22} {:>8} {:>6} {:>10} {:>7} {:>10} {:>15} {:>15} {:>13}",
        paint::line(&group.class),
        paint::line(&group.model),
        sums.requests,
        sums.failed,
        sums.prompt_tokens,
        reused,
        sums.completion_tokens,
        pair(sums.first_token_ms, 1000.0),
        pair(sums.total_ms, 1000.0),
        pair(sums.tokens_per_second, 1.0),
    )
}
