//! `rkgate bench conversation`.

use std::{
    fs,
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{Configuration, Failure, code, settings};
use crate::{
    bench::{
        self, Outcome, SHIPPED, Script, Setup,
        goals::{self, Verdict},
        page, table,
    },
    config::Library,
    gateway::GatewaySettings,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// What is asked: three-turns, long-question, retrieval, long, two-people, or a file.
    #[arg(long, default_value = "three-turns")]
    script: String,
    /// The model of the chats instead of the script's.
    #[arg(long)]
    model: Option<String>,
    /// How many times faster than a board. Times are scaled to the board's, but what the gateway itself takes is not:
    /// figures count at 1.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = speed)]
    speed: f64,
    /// Where to write the page with the picture.
    #[arg(long, default_value = "conversation.html", value_name = "FILE")]
    page: PathBuf,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("a number above 0 is wanted".to_owned()),
    }
}

/// Exit code 0 when the script was played, whether its goals were met or not.
pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    let config = configuration.load()?.config;
    let script = script(&options.script)?;
    // On a board the configured models are real ones, which the simulator cannot load: its own take their place.
    let mut engine = settings::engine(&config.engine);
    if config.engine.library != Library::Sim {
        engine.models_dir = PathBuf::new();
    }
    let setup = Setup {
        engine,
        gateway: GatewaySettings {
            keys: None,
            ..settings::gateway(&config)
        },
        // The simulated board's, whatever this machine is.
        policy: settings::policy(&config.policy, None),
        model: options.model.clone(),
        speed: options.speed,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because(code::SOFTWARE, "cannot start the threads", &error))?;
    let names = script.clone();
    let watched = io::stderr().is_terminal();
    let told = move |play: &str, request: &bench::Request| {
        if watched {
            let name = table::named(&names, request);
            // Only shown to pass the time.
            let _ = writeln!(
                io::stderr(),
                "{} {play}: {name}",
                table::seconds(request.ended)
            );
        }
    };
    let played = bench::conversation(script.clone(), setup, told);
    // Interrupted in order, so that nothing stays behind in the temporary directory.
    let outcome = runtime.block_on(async {
        tokio::select! {
            // Listening for it comes before there is anything to leave behind.
            biased;
            _ = tokio::signal::ctrl_c() => Err(Failure::new(code::INTERRUPTED, "interrupted")),
            outcome = played => outcome.map_err(|error| {
                Failure::because(code::UNAVAILABLE, "nothing was played", &error)
            }),
        }
    })?;
    let verdicts = goals::judge(&script, &outcome);
    let html = page::html(&script, &outcome, &verdicts);
    fs::write(&options.page, html).map_err(|error| {
        let attempt = format!("cannot write {}", options.page.display());
        Failure::because(code::IO, &attempt, &error)
    })?;
    print(&script, &outcome, &verdicts)?;
    writeln!(
        io::stdout(),
        "\nThe picture is in {}.",
        options.page.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn script(name: &str) -> Result<Script, Failure> {
    let text = match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        Some((_, text)) => (*text).to_owned(),
        None => fs::read_to_string(name).map_err(|error| {
            let names = SHIPPED.map(|(name, _)| name).join(", ");
            let attempt = format!("`{name}` is none of {names}, and no file that can be read");
            Failure::because(code::MISSING, &attempt, &error)
        })?,
    };
    Script::parse(&text)
        .map_err(|error| Failure::because(code::DATA, &format!("cannot play {name}"), &error))
}

fn print(script: &Script, outcome: &Outcome, verdicts: &[Verdict]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", script.title)?;
    writeln!(
        out,
        "{} on a simulated board, {}\n",
        outcome.model,
        table::at_speed(outcome.speed)
    )?;
    let columns = ["waits", "first text", "total", "read", "of"].map(|name| format!("{name:>10}"));
    let columns = columns.concat();
    writeln!(
        out,
        "{:20} {:<50} | {}",
        "", outcome.ours.name, outcome.naive.name
    )?;
    writeln!(out, "{:20} {columns} | {columns}", "")?;
    for (request, like) in outcome.side_by_side() {
        let row = |figures| {
            table::cells(&figures)
                .map(|cell| format!("{cell:>10}"))
                .concat()
        };
        let ours = row(outcome.ours.figures(request));
        let naive = like.map(|like| row(outcome.naive.figures(like)));
        let name = table::named(script, request);
        writeln!(out, "{name:20} {ours} | {}", naive.unwrap_or_default())?;
    }
    writeln!(out)?;
    let plays = || {
        [&outcome.ours, &outcome.naive]
            .into_iter()
            .chain(&outcome.alone)
    };
    let names = plays().map(|play| format!("{:>14}", play.name));
    writeln!(out, "{:32}{}", "In sum", names.collect::<String>())?;
    for (name, figure) in table::SUMS {
        let figures = plays().map(|play| format!("{:>14}", figure(&play.sums())));
        writeln!(out, "{name:32}{}", figures.collect::<String>())?;
    }
    for play in plays() {
        for request in &play.requests {
            if let Some(failure) = &request.failure {
                let name = table::named(script, request);
                writeln!(out, "{}: {name} failed: {failure}", play.name)?;
            }
        }
    }
    writeln!(out, "\nGoals")?;
    for verdict in verdicts {
        let held = if verdict.held { "held  " } else { "MISSED" };
        let Verdict {
            what,
            measured,
            reference,
            ..
        } = verdict;
        writeln!(out, "{held} {what}: {measured}, at most {reference}")?;
    }
    Ok(())
}
