//! `rkgate explain`.

mod ask;
mod cost;
mod diff;
mod ink;
mod input;
mod json;
mod page;
mod summary;
mod why;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    slice,
};

use clap::{Args, ColorChoice};

use super::{Configuration, Failure, Format, code, paint::Paint, policy_files, serve::settings};
use crate::{
    config::{self, Loaded},
    doctor::runtime,
    engine::samples_per_run,
    explain::{self, Explanation, Models, Question, Turn},
    policy::{Headers, Platform, Set},
    problem::Report,
    telemetry::board::Board,
};
use input::{Header, Request, Unusable};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The request: the body of an OpenAI chat request, a recording with `headers` and `body`, or what `rkgate log show
    /// ID --format json` prints; `-` is stdin.
    request: PathBuf,
    /// A header of the request, over those of a recording; repeatable.
    #[arg(long, value_name = "NAME=VALUE", value_parser = Header::parse)]
    header: Vec<Header>,
    /// The model or upstream that is to answer, whatever the routes say.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// The request before this one, in the same forms; without it, it is taken from the request itself.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Tells of every rule why it did not hold, and leaves nothing out of the difference.
    #[arg(long, short)]
    verbose: bool,
    /// When to use colours; `auto` heeds NO_COLOR.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
}

pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    let (request, previous) = match requests(options) {
        Ok(requests) => requests,
        Err(Unusable::Failed(failure)) => return Err(failure),
        Err(Unusable::Wrong(report)) => return wrong(&report, options.format),
    };
    let Loaded { config, .. } = configuration.load()?;
    let board = Board::default();
    let runtime = runtime::find(&board, &config.engine.library);
    // The directory of the simulated models lasts as long as `_shipped`.
    let (catalog, _shipped) = runtime
        .catalog(&config.engine.models_dir)
        .map_err(|error| Failure::because(code::IO, "cannot list the models", &error))?;
    let mut facts = ask::facts(&catalog, &config.upstreams, &request.chat.model);
    let forced = match &options.engine {
        Some(name) => Some(ask::forced(
            name,
            &mut facts,
            &config.upstreams,
            &request.chat.model,
        )?),
        None => None,
    };
    let set = set(&config.policy, &board)?;

    let look_up = |name: &str| request.header(name);
    let look_up_previous = |name: &str| previous.as_ref()?.header(name);
    let question = Question {
        set: &set,
        facts: &facts,
        request: &request.chat,
        headers: Headers::new(&look_up),
        forced: forced.as_deref(),
        previous: previous.as_ref().map(|previous| Turn {
            request: &previous.chat,
            headers: Headers::new(&look_up_previous),
        }),
    };
    let models = Models::counting(catalog.models()).sampled_per_run(samples_per_run(
        runtime.library(),
        settings::engine(&config.engine).abi,
    ));
    let explanation = explain::explain(&question, &models);
    print(&explanation, options)
}

/// Reads the request and the one before it.
fn requests(options: &Options) -> Result<(Request, Option<Request>), Unusable> {
    let is_stdin = |path: &Path| path.as_os_str() == "-";
    if is_stdin(&options.request) && options.previous.as_deref().is_some_and(is_stdin) {
        let message = "only one of the two requests can come from stdin";
        return Err(Unusable::Failed(Failure::new(code::MISUSE, message)));
    }
    let mut request = input::read(&options.request)?;
    request.set(&options.header);
    let previous = options.previous.as_deref().map(input::read).transpose()?;
    Ok((request, previous))
}

fn print(explanation: &Explanation, options: &Options) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    match options.format {
        Format::Json => {
            let json = json::to_string(explanation)
                .map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
            writeln!(out, "{json}")?;
        }
        Format::Text => {
            let paint = Paint::chosen(options.color);
            write!(out, "{}", page::page(explanation, paint, options.verbose))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Compiles the configured files. Tests that fail are told on stderr: explaining is how one finds out why they do.
fn set(policy: &config::Policy, board: &Board) -> Result<Set, Failure> {
    let files = policy_files::read(Some(policy), &[])?;
    let compiled = Set::compile(&files, Platform::of_chip(board.chip().as_deref()))
        .map_err(|report| Failure::new(code::CONFIG, report.to_string()))?;
    if let Err(report) = compiled.test() {
        writeln!(
            io::stderr(),
            "{report}\nwarning: a running gateway does not take files whose tests fail"
        )?;
    }
    Ok(compiled.set)
}

/// What is wrong with a request file.
fn wrong(report: &Report, format: Format) -> Result<ExitCode, Failure> {
    match format {
        Format::Text => Err(Failure::new(code::DATA, report.to_string())),
        Format::Json => {
            let json = Report::to_json(slice::from_ref(report))
                .map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
            writeln!(io::stdout(), "{json}")?;
            Ok(code::DATA.into())
        }
    }
}

#[cfg(test)]
mod tests;
