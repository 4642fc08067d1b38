//! `rkgate log export`.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, IsTerminal, Write},
    ops::ControlFlow,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use super::{Failure, code, filter::Filters, unreadable};
use crate::{
    cli::progress,
    promptlog::{Kept, Reader, export},
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    filters: Filters,
    /// The form to write.
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Write to this file, which only its owner may read, instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Form {
    /// Everything, one JSON object per line.
    #[default]
    Jsonl,
    /// OpenAI's fine-tuning format: chats that ended well.
    Openai,
    /// ShareGPT's format: chats that ended well.
    Sharegpt,
    /// Metadata as a table.
    Csv,
}

impl From<Form> for export::Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Jsonl => Self::Jsonl,
            Form::Openai => Self::OpenAi,
            Form::Sharegpt => Self::ShareGpt,
            Form::Csv => Self::Csv,
        }
    }
}

pub(super) fn run(reader: &mut Reader, options: &Options) -> Result<ExitCode, Failure> {
    let filter = options.filters.filter();
    let total = reader.count(&filter).map_err(unreadable)?;
    // Records must not pass by on the same screen.
    let apart = options.output.is_some() || !io::stdout().is_terminal();
    let progress = progress::bar(total, apart);
    let mut out = open(options.output.as_deref())?;
    let format = export::Format::from(options.format);
    if let Some(header) = format.header() {
        writeln!(out, "{header}")?;
    }
    let mut written = Ok(());
    let mut damaged = 0_u64;
    let read = reader.each(&filter, |id, record| {
        progress.inc(1);
        damaged += u64::from(record.kept == Kept::Damaged);
        if let Some(line) = format.line(id, &record) {
            written = writeln!(out, "{line}");
        }
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    progress.finish_and_clear();
    read.map_err(unreadable)?;
    written?;
    out.flush()?;
    if damaged > 0 {
        writeln!(
            io::stderr(),
            "{damaged} of them are damaged: only what can be read is written (`kept` says `damaged`)"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn open(path: Option<&Path>) -> Result<Box<dyn Write>, Failure> {
    let Some(path) = path else {
        return Ok(Box::new(BufWriter::new(io::stdout().lock())));
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            let attempt = format!("cannot write {}", path.display());
            Failure::because(code::IO, &attempt, &error)
        })?;
    Ok(Box::new(BufWriter::new(file)))
}
