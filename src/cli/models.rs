//! `rkgate models`.

use std::{
    collections::HashMap,
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;
use serde_json::{Value, json};

use super::{Configuration, Failure, Format, code};
use crate::{
    config::{Address, Loaded},
    console,
    doctor::{
        running::{self, Running},
        runtime::{self, Runtime},
    },
    engine::{ModelCard, ModelKind, memory_budget},
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
    let presences = presences(&config.listen.admin)?;
    let mut out = io::stdout().lock();
    match options.format {
        Format::Json => {
            let mut models = console::models_json(catalog.models());
            tell(&mut models, presences.as_ref());
            writeln!(out, "{models:#}")?;
        }
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
            print(&mut out, catalog.models(), presences.as_ref())?;
            let budget = memory_budget(config.engine.memory_budget.into(), !runtime.is_real());
            let budget = budget >> 20;
            writeln!(
                out,
                "loaded models may take {budget} MiB together (engine.memory_budget)"
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a model is in a running gateway.
#[derive(Debug, Clone, PartialEq)]
struct Presence {
    residency: String,
    pinned: bool,
    /// Instances in memory.
    instances: usize,
}

impl Presence {
    fn words(&self) -> String {
        let mut words = match (self.residency.as_str(), self.instances) {
            ("absent", _) => "no".to_owned(),
            ("loaded", 2..) => format!("yes, {} instances", self.instances),
            ("loaded", _) => "yes".to_owned(),
            (residency, _) => residency.to_owned(),
        };
        if self.pinned {
            words.push_str(", pinned");
        }
        words
    }
}

type Presences = HashMap<String, Presence>;

/// Where the models are, by their ids; `None` where no gateway runs that would say so.
fn presences(admin: &Address) -> Result<Option<Presences>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because(code::SOFTWARE, "cannot start", &error))?;
    match runtime.block_on(running::ask(admin, "/api/engine")) {
        Running::Says(engine) => Ok(Some(read_presences(&engine))),
        Running::Locked => {
            let hint = format!("set {} to one to see what is loaded", running::KEY);
            writeln!(
                io::stderr(),
                "the gateway at {admin} wants an API key: {hint}"
            )?;
            Ok(None)
        }
        Running::No => Ok(None),
    }
}

/// Reads what the admin port tells of the engine.
fn read_presences(engine: &Value) -> Presences {
    let list = |name: &str| {
        engine
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let text = |of: &Value, name: &str| Some(of.get(name)?.as_str()?.to_owned());
    let is = |of: &Value, name: &str| of.get(name).and_then(Value::as_bool).unwrap_or_default();
    let presence = |model: &Value| {
        let id = text(model, "model")?;
        let of_it =
            |worker: &&Value| text(worker, "model").as_deref() == Some(&id) && is(worker, "loaded");
        let presence = Presence {
            residency: text(model, "residency")?,
            pinned: is(model, "pinned"),
            instances: list("workers").filter(of_it).count(),
        };
        Some((id, presence))
    };
    list("residency").filter_map(presence).collect()
}

/// Adds to the models where they are; null where that is not known.
fn tell(models: &mut Value, presences: Option<&Presences>) {
    for model in models.as_array_mut().into_iter().flatten() {
        let id = model.get("id").and_then(Value::as_str).unwrap_or_default();
        let presence = presences.and_then(|presences| presences.get(id));
        let fields = [
            ("residency", json!(presence.map(|it| &it.residency))),
            ("pinned", json!(presence.map(|it| it.pinned))),
            ("instances", json!(presence.map(|it| it.instances))),
        ];
        if let Some(model) = model.as_object_mut() {
            model.extend(fields.map(|(name, value)| (name.to_owned(), value)));
        }
    }
}

fn print(
    out: &mut impl Write,
    models: &[ModelCard],
    presences: Option<&Presences>,
) -> io::Result<()> {
    let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
    rows.extend(models.iter().map(|model| row(model).to_vec()));
    if let Some(presences) = presences {
        let words = |model: &ModelCard| {
            presences
                .get(&model.id)
                .map_or("?".to_owned(), Presence::words)
        };
        let column = std::iter::once("RESIDENT".to_owned()).chain(models.iter().map(words));
        for (row, cell) in rows.iter_mut().zip(column) {
            row.push(cell);
        }
    }
    let columns = rows.first().map_or(0, Vec::len);
    let width = |n: usize| {
        let cells = rows.iter().filter_map(|row| row.get(n));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
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

const HEADER: [&str; 9] = [
    "MODEL", "KIND", "FAMILY", "SIZE", "QUANT", "CONTEXT", "RAM", "PREFILL", "DECODE",
];

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
