//! The simulator without rkgate: what a token costs before its callback has done anything.

use std::{
    path::Path,
    process::{self, Command},
};

use rkllm::{Input, Model, ModelOptions, RunOptions, Turn, abi::Abi};

use crate::process::{cpu_micros, on_board};

/// Context of the model in tokens.
const CONTEXT: i32 = 16_384;

/// CPU time per token, in microseconds, of a process that only plays these prompts on the board of `dir`.
pub(crate) fn cost_per_token(dir: &Path, speed: &str, model: &Path, prompts: &[String]) -> f64 {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.arg("simulator").arg(model).args(prompts);
    let output = on_board(&mut command, dir, speed).output().expect("start");
    // The runtime prints too, but before.
    let printed = String::from_utf8_lossy(&output.stdout);
    let figure = printed.lines().last().and_then(|line| line.parse().ok());
    figure.expect("the simulator alone ended without a figure")
}

/// Plays the prompts with a callback that does nothing, and prints the CPU time per token.
pub(crate) fn play(model: &str, prompts: &[&str]) {
    let mut model = rkllm_sim::runtime(Abi::V1_2_1)
        .load(&ModelOptions::new(Path::new(model), CONTEXT, CONTEXT))
        .expect("load");
    run(&mut model, "Say hello.");
    let before = cpu_micros(process::id());
    let tokens: u32 = prompts.iter().map(|prompt| run(&mut model, prompt)).sum();
    println!(
        "{}",
        (cpu_micros(process::id()) - before) / f64::from(tokens)
    );
}

fn run(model: &mut Model, text: &str) -> u32 {
    let turn = Turn {
        enable_thinking: Some(false),
        ..Turn::default()
    };
    let mut tokens = 0;
    model
        .run(
            Input::Prompt { text, turn },
            &RunOptions::default(),
            &mut |_| tokens += 1,
        )
        .expect("a run");
    tokens
}
