//! `rkgate replay`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anstyle::AnsiColor;
use clap::Args;

use super::{
    Configuration, Failure, Format, code,
    log::{Filters, unreadable},
    paint::{self, Paint, harmless},
    progress,
};
use crate::{
    config::{Config, Loaded},
    doctor::runtime,
    engine::catalog::upstream_model,
    policy::{Facts, ModelFact, Platform, Set, shipped},
    promptlog::{
        NOBODY, Reader,
        replay::{Example, Load, Replay, Report, Verdict},
        transcript::Line,
    },
    telemetry::board::Board,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    filters: Filters,
    /// The policy files to try, with the shipped ones as `serve` reads them; default the configured ones.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The rule files to try.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// How many requests to run at most; the newest count.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    limit: usize,
    /// How many of the requests that change to show.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    diffs: usize,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    let Loaded { config, .. } = configuration.load()?;
    let mut reader = Reader::open_without_images(&config.log.place).map_err(unreadable)?;
    let (rules, policies) = (&config.policy.rules, &config.policy.policies);
    let now = compile(&config, rules, policies)?;
    let then = compile(
        &config,
        options.rules.as_deref().unwrap_or(rules),
        options.policies.as_deref().unwrap_or(policies),
    )?;
    let facts = facts(&config, &mut reader)?;
    let replay = Replay {
        now: &now,
        then: &then,
        facts: &facts,
        filter: options.filters.filter(),
        limit: options.limit,
        examples: options.diffs,
    };
    let total = reader.count(&replay.filter).map_err(unreadable)?;
    let progress = progress::bar(total.min(options.limit as u64), true);
    let report = replay
        .run(&mut reader, |count| progress.inc(count as u64))
        .map_err(unreadable)?;
    progress.finish_and_clear();
    let mut out = io::stdout().lock();
    match options.format {
        Format::Json => {
            let json = serde_json::to_string_pretty(&report)
                .map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
            writeln!(out, "{json}")?;
        }
        Format::Text => print(&mut out, &report)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn compile(config: &Config, rules: &Path, policies: &Path) -> Result<Set, Failure> {
    for directory in [rules, policies] {
        let configured = directory == config.policy.rules || directory == config.policy.policies;
        if !configured && !directory.is_dir() {
            let message = format!("there is no directory {}", directory.display());
            return Err(Failure::new(code::MISSING, message));
        }
    }
    let files = shipped::with_directories(rules, policies)
        .map_err(|error| Failure::because(code::IO, "cannot load the policy", &error))?;
    let platform = Platform::of_chip(Board::default().chip().as_deref());
    let compiled = Set::compile(&files, platform)
        .map_err(|report| Failure::new(code::CONFIG, report.to_string()))?;
    Ok(compiled.set)
}

/// The models at hand, those that upstreams are configured to serve, and those that the log tells of.
fn facts(config: &Config, reader: &mut Reader) -> Result<Facts, Failure> {
    let runtime = runtime::find(&Board::default(), &config.engine.library);
    let (catalog, _shipped) = runtime
        .catalog(&config.engine.models_dir)
        .map_err(|error| Failure::because(code::IO, "cannot list the models", &error))?;
    let mut models: Vec<ModelFact> = catalog.models().iter().map(ModelFact::from).collect();
    for upstream in &config.upstreams {
        models.extend(upstream.models.iter().map(|alias| ModelFact {
            id: alias.name.as_str().into(),
            aliases: vec![alias.model.clone()],
            ..upstream_model(&alias.model, upstream.name.as_str())
        }));
    }
    let mut facts = Facts { models };
    for name in reader.models().map_err(unreadable)? {
        if &*name != NOBODY && facts.model(&name).is_none() {
            facts.models.push(upstream_model(&name, "log"));
        }
    }
    Ok(facts)
}

fn print(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let paint = Paint::for_stdout();
    writeln!(
        out,
        "{} requests, {} change",
        report.requests, report.changed
    )?;
    if report.without_content > 0 {
        writeln!(
            out,
            "{} without content were left out",
            report.without_content
        )?;
    }
    for (class, count) in &report.not_conversations {
        let class = paint::line(class);
        writeln!(
            out,
            "{count} of class {class} were left out: no rule changes them"
        )?;
    }
    for (what, count) in [
        ("class", report.class),
        ("model", report.model),
        ("profile", report.profile),
        ("text of the prompt", report.text),
        ("length of the prompt", report.length),
        ("refused or not", report.refused),
    ] {
        writeln!(out, "  {what:<22} {count:>8}")?;
    }
    let tokens = |what: &str, of: fn(&Load) -> u64| {
        let (before, after) = (of(&report.before), of(&report.after));
        let change = 100.0 * (after as f64 - before as f64) / before.max(1) as f64;
        format!("{what:<24} {before:>12} -> {after:<12} {change:+.1} %")
    };
    writeln!(
        out,
        "{}",
        tokens("prompt tokens", |load| load.prompt_tokens)
    )?;
    writeln!(
        out,
        "{}",
        tokens("to prefill, estimated", |load| load.prefill_tokens)
    )?;
    for example in &report.examples {
        show(out, paint, example)?;
    }
    Ok(())
}

fn show(out: &mut impl Write, paint: Paint, example: &Example) -> io::Result<()> {
    let Example {
        id,
        before,
        after,
        difference,
    } = example;
    writeln!(out, "\n{}", paint.bold(&format!("request {id}")))?;
    writeln!(
        out,
        "{}",
        paint.colour(AnsiColor::Red, &format!("- {}", words(before)))
    )?;
    writeln!(
        out,
        "{}",
        paint.colour(AnsiColor::Green, &format!("+ {}", words(after)))
    )?;
    for line in difference {
        let line = match line {
            Line::Same(line) => format!("    {}", harmless(line)),
            Line::Removed(line) => paint.colour(AnsiColor::Red, &format!("  - {}", harmless(line))),
            Line::Added(line) => paint.colour(AnsiColor::Green, &format!("  + {}", harmless(line))),
            Line::Gap => paint.dim("    ..."),
        };
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn words(verdict: &Verdict) -> String {
    let mut words = format!(
        "{} by {}, {}, profile {}, {} tokens",
        verdict.class,
        verdict.by,
        paint::line(&verdict.model),
        verdict.profile.as_deref().unwrap_or("none"),
        verdict.prompt_tokens,
    );
    if let Some(rule) = &verdict.refused_by {
        words += &format!(", refused by {rule}");
    }
    words
}
