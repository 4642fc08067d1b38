//! `rkgate models`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{Configuration, Failure, Format, code};
use crate::{
    config::Loaded,
    console,
    doctor::runtime::{self, Runtime},
    engine::{ModelCard, ModelKind},
    telemetry::board::Board,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// How to print the catalogue.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    let Loaded { config, .. } = configuration.load()?;
    let dir = &config.engine.models_dir;
    let runtime = runtime::find(&Board::default(), &config.engine.library);
    let (catalog, shipped) = runtime
        .catalog(dir)
        .map_err(|error| Failure::because(code::IO, "cannot list the models", &error))?;
    let mut out = io::stdout().lock();
    match options.format {
        Format::Json => writeln!(out, "{:#}", console::models_json(catalog.models()))?,
        Format::Text if runtime == Runtime::None => {
            writeln!(out, "engine.library is none: only upstreams answer")?;
        }
        Format::Text if catalog.models().is_empty() => {
            writeln!(out, "no *.rkllm below {}", dir.display())?;
        }
        Format::Text => {
            if shipped.is_some() {
                writeln!(
                    out,
                    "no *.rkllm below {}: the simulator's own models",
                    dir.display()
                )?;
            }
            print(&mut out, catalog.models())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(out: &mut impl Write, models: &[ModelCard]) -> io::Result<()> {
    let header = [
        "MODEL", "KIND", "FAMILY", "SIZE", "QUANT", "CONTEXT", "RAM", "PREFILL", "DECODE",
    ]
    .map(str::to_owned);
    let rows: Vec<[String; 9]> = std::iter::once(header)
        .chain(models.iter().map(row))
        .collect();
    let widths: Vec<usize> = (0..9)
        .map(|n| {
            rows.iter()
                .filter_map(|row| row.get(n))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    for model in models {
        for warning in &model.warnings {
            writeln!(out, "warning: {}: {warning}", model.id)?;
        }
    }
    Ok(())
}

/// Unknown values are `?`.
fn row(model: &ModelCard) -> [String; 9] {
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let speed = |speed: Option<f64>| {
        speed.map_or_else(|| "?".to_owned(), |speed| format!("{speed:.1} tok/s"))
    };
    let expectation = model.expectation.as_ref();
    [
        model.id.clone(),
        model.kind.as_str().to_owned(),
        model.family.clone(),
        or_unknown(&model.size),
        or_unknown(&model.quantisation),
        model.context_or_default().to_string(),
        format!("{} MiB", model.expected_memory() >> 20),
        speed(expectation.map(|expect| expect.prefill)),
        match model.kind {
            ModelKind::Text => speed(expectation.map(|expect| expect.decode)),
            // What writes no text has no speed of writing.
            ModelKind::Embedding => "-".to_owned(),
        },
    ]
}
