//! What a run cost, and the table printed about it.

use crate::console::Console;

/// Cost of a run in board time, whatever the speed of the simulation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Perf {
    pub(crate) prefill_ms: f64,
    /// Prompt tokens computed; those found in the cache do not count.
    pub(crate) prefill_tokens: u32,
    pub(crate) generate_ms: f64,
    pub(crate) generate_tokens: u32,
    pub(crate) memory_mb: f32,
}

impl Perf {
    /// The table of log level 1. `init_ms` is given on the first run.
    pub(crate) fn print(
        &self,
        console: Console,
        init_ms: Option<f64>,
        cached: usize,
        system: usize,
    ) {
        if console.level == 0 {
            return;
        }
        let rule = "-".repeat(86);
        let heading = [
            "Total Time (ms)",
            "Tokens",
            "Time per Token (ms)",
            "Tokens per Second",
        ];
        console.info(&rule);
        row(console, "Stage", heading);
        console.info(&rule);
        if let Some(ms) = init_ms {
            row(console, "Init", [&format!("{ms:.2}"), "/", "/", "/"]);
        }
        for (stage, ms, tokens) in [
            ("Prefill", self.prefill_ms, self.prefill_tokens),
            ("Generate", self.generate_ms, self.generate_tokens),
        ] {
            let each = ms / f64::from(tokens.max(1));
            let rate = if ms > 0.0 {
                1000.0 * f64::from(tokens) / ms
            } else {
                0.0
            };
            let cells = [
                format!("{ms:.2}"),
                tokens.to_string(),
                format!("{each:.2}"),
                format!("{rate:.2}"),
            ];
            row(console, stage, cells.each_ref().map(String::as_str));
        }
        console.info(&rule);
        console.info(format_args!(" {:<12}", "Peak Memory Usage (GB)"));
        console.info(format_args!(" {:<12.2}", self.memory_mb / 1024.0));
        console.info(&rule);
        console.info(format_args!(
            "In this conversation: the newly added user cache size is {}; system cache size is {system}",
            cached - system.min(cached)
        ));
    }
}

fn row(console: Console, stage: &str, [total, tokens, each, rate]: [&str; 4]) {
    console.info(format_args!(
        " {stage:<12}  {total:<15}  {tokens:<8}  {each:<23}  {rate:<23}"
    ));
}
