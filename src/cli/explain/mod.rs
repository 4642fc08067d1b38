//! `rkgate explain`.

mod ask;
mod diff;
mod ink;
mod input;
mod json;
mod page;
mod why;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ColorChoice};

use super::{Configuration, Failure, Format, code, paint::Paint, policy_files};
use crate::{
    config::Loaded,
    doctor::runtime,
    engine::catalog_of,
    explain::{self, Models, Question, Turn},
    policy::Set,
    telemetry::board::Board,
};
use input::{Header, Unusable};

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
    if options.previous.as_ref().is_some_and(|path| is_stdin(path)) && is_stdin(&options.request) {
        return Err(Failure::new(
            code::MISUSE,
            "only one of the two requests can come from stdin",
        ));
    }
    let read = |path| match input::read(path) {
        Ok(request) => Ok(Ok(request)),
        Err(Unusable::Unreadable(failure)) => Err(failure),
        Err(Unusable::Wrong(report)) => Ok(Err(report)),
    };
    let mut request = match read(&options.request)? {
        Ok(request) => request,
        Err(report) => return wrong(&report, options.format),
    };
    let previous = match options.previous.as_deref().map(read).transpose()? {
        None => None,
        Some(Ok(previous)) => Some(previous),
        Some(Err(report)) => return wrong(&report, options.format),
    };
    request.set(&options.header);

    let Loaded { config, .. } = configuration.load()?;
    let board = Board::default();
    let simulated = !runtime::find(&board, &config.engine.library).is_real();
    // The directory of the simulated models lasts as long as `_shipped`.
    let (catalog, _shipped) = catalog_of(&config.engine.models_dir, simulated)
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
        headers: crate::policy::Headers::new(&look_up),
        forced: forced.as_deref(),
        previous: previous.as_ref().map(|previous| Turn {
            request: &previous.chat,
            headers: crate::policy::Headers::new(&look_up_previous),
        }),
    };
    let explanation = explain::explain(&question, &Models::counting(catalog.models()));
    let mut out = io::stdout().lock();
    match options.format {
        Format::Json => {
            let json = json::to_string(&explanation)
                .map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
            writeln!(out, "{json}")?;
        }
        Format::Text => {
            let paint = Paint::chosen(options.color);
            write!(out, "{}", page::page(&explanation, paint, options.verbose))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_stdin(path: &std::path::Path) -> bool {
    path.as_os_str() == "-"
}

/// Compiles the configured files. Tests that fail are told on stderr: explaining is how one finds out why they do.
fn set(policy: &crate::config::Policy, board: &Board) -> Result<Set, Failure> {
    let files = policy_files::read(Some(policy), &[])?;
    let compiled = Set::compile(&files, policy_files::platform(board))
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
fn wrong(report: &crate::problem::Report, format: Format) -> Result<ExitCode, Failure> {
    match format {
        Format::Text => Err(Failure::new(code::DATA, report.to_string())),
        Format::Json => {
            let json = crate::problem::Report::to_json(std::slice::from_ref(report))
                .map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
            writeln!(io::stdout(), "{json}")?;
            Ok(code::DATA.into())
        }
    }
}

#[cfg(test)]
mod tests;
