//! `rkgate log export`.

use std::{
    fs::{OpenOptions, Permissions},
    io::{self, BufWriter, IsTerminal, Write},
    ops::ControlFlow,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use super::{Failure, code, filter::Filters, unreadable};
use crate::{
    cli::progress,
    promptlog::{
        Kept, Reader, Record,
        export::{self, LastTurns},
    },
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
    /// OpenAI's fine-tuning format: the last turn of each chat that ended well, newest first; others with `--class`.
    Openai,
    /// ShareGPT's format: as `openai`.
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
    let mut filter = options.filters.filter();
    let format = export::Format::from(options.format);
    if format.is_training() {
        filter.class.get_or_insert_with(|| "chat".to_owned());
    }
    let total = reader.count(&filter).map_err(unreadable)?;
    // Records must not pass by on the same screen.
    let apart = options.output.is_some() || !io::stdout().is_terminal();
    let progress = progress::bar(total, apart);
    let mut out = open(options.output.as_deref())?;
    if let Some(header) = format.header() {
        writeln!(out, "{header}")?;
    }
    let mut turns = LastTurns::default();
    let mut written = Ok(());
    let mut damaged = 0_u64;
    let write = |id, record: Record| {
        progress.inc(1);
        damaged += u64::from(record.kept == Kept::Damaged);
        if let Some(line) = format.line(id, &record)
            && (!format.is_training() || turns.is_last(&record))
        {
            written = writeln!(out, "{line}");
        }
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let read = match format.is_training() {
        true => reader.each_backwards(&filter, write),
        false => reader.each(&filter, write),
    };
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
    let failed = |error: io::Error| {
        let attempt = format!("cannot write {}", path.display());
        Failure::because(code::IO, &attempt, &error)
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    // One that was there may be for all to read; what is no file, a pipe or a device, stays as it is.
    if file.metadata().map_err(failed)?.is_file() {
        let owner_only = Permissions::from_mode(0o600);
        file.set_permissions(owner_only).map_err(failed)?;
        file.set_len(0).map_err(failed)?;
    }
    Ok(Box::new(BufWriter::new(file)))
}
