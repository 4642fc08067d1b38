//! What the prompt log adds to a request: CPU time and time to the first token, with all content kept and with none.

use std::{
    ops::Range,
    path::Path,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use crate::{
    load::Client,
    process::{Process, median, percentile, rkgate},
    stub::TALK,
};

/// What is kept of a request that is logged.
const MODES: [&str; 2] = ["full", "redacted"];
/// What a request says that is not to be logged: its numbers are kept, as with `off`.
const UNLOGGED: &str = "x-rkgate-log: off\r\n";
/// Requests of the open loop per second, over so many connections for so long.
const RATE: u32 = 200;
const CONNECTIONS: u32 = 100;
const LASTS: Duration = Duration::from_secs(3);
const MODEL: &str = "qwen3-0.6b";
/// Times as fast as a board: a token each 0.8 ms, an event each.
const SPEED: &str = "40";
/// Requests that a gateway answers before it is measured, on each of sixteen connections: the log compresses from
/// its own records then.
const WARM_UP: usize = 6;
/// Turns of two gateways side by side, and of one alone.
const TURNS: usize = 16;
const ALONE: usize = 20;

/// What a gateway has to do.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// Each connection asks again when it was answered.
    Closed {
        model: &'static str,
        connections: usize,
        requests: usize,
    },
    /// [`RATE`] streams a second, whether earlier ones have been answered or not.
    Open,
}

/// Prints CPU time per request, through the engine and through an upstream, and the time to the first token.
pub(crate) fn run() {
    let own = std::env::current_exe().expect("own path");
    let stub = Process::announced(std::process::Command::new(own).arg("stub"));
    let upstream = format!(
        "[[upstream]]\nname = \"stub\"\nurls = [\"http://127.0.0.1:{}/v1\"]\n",
        stub.port
    );
    println!(
        "\nThe prompt log by `content`, beside requests that say `x-rkgate-log: off` (to reach: +5 % CPU, and p99 as with `off`); means and their standard errors, medians of the rest. Side by side: two gateways under the same load at the same time, of which one logs, in the next turn the other: what logging takes itself. Alone: one gateway that logs and does not, turn about: with it what it takes from the caches of all else on the core, and the machine's moods."
    );
    let closed = |model, connections, requests| Load::Closed {
        model,
        connections,
        requests,
    };
    for (what, load) in [
        ("The engine, about 100 tokens", closed(MODEL, 1, 10)),
        (
            "Relayed streams of 60 tokens, sixteen at once",
            closed(TALK, 16, 10),
        ),
        ("Relayed streams of 60 tokens, 200 a second", Load::Open),
    ] {
        println!("{what}:");
        for mode in MODES {
            compare(mode, load, &upstream);
        }
    }
}

/// What some turns took.
#[derive(Debug, Default)]
struct Turns {
    halves: Vec<f64>,
    tails: Vec<f64>,
    /// Side by side.
    beside: Vec<Spent>,
    alone: Vec<Spent>,
}

/// Prints what a load takes that is logged in this mode, and what one that is not.
fn compare(mode: &str, load: Load, upstream: &str) {
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("temp dir"));
    let gateways = dirs.each_ref().map(|dir| start(dir.path(), mode, upstream));
    let (mut logged, mut unlogged) = (Turns::default(), Turns::default());
    for turn in 0..TURNS {
        let mut sides = [("", &mut logged), (UNLOGGED, &mut unlogged)];
        sides.rotate_left(turn % 2);
        thread::scope(|scope| {
            for (gateway, (fields, turns)) in gateways.iter().zip(sides) {
                scope.spawn(move || {
                    turns.beside.push(Spent::per_request(gateway, || {
                        let count = load.run(gateway.port, fields, (turn + 1) * 10_000).len();
                        flushed();
                        count
                    }));
                });
            }
        });
    }
    let [gateway, _] = gateways;
    for turn in 0..ALONE {
        let mut sides = [("", &mut logged), (UNLOGGED, &mut unlogged)];
        sides.rotate_left(turn % 2);
        for (fields, turns) in sides {
            let mut firsts = Vec::new();
            turns.alone.push(Spent::per_request(&gateway, || {
                firsts = load.run(gateway.port, fields, (TURNS + turn + 1) * 10_000);
                flushed();
                firsts.len()
            }));
            turns.halves.push(percentile(&mut firsts, 50.0));
            turns.tails.push(percentile(&mut firsts, 99.0));
        }
    }
    for (mode, turns) in [(mode, &logged), ("off", &unlogged)] {
        println!(
            "  {mode:<8} side by side {}; alone {}, first token p50 {:>5.0} us, p99 {:>5.0} us",
            told(&turns.beside, &unlogged.beside),
            told(&turns.alone, &unlogged.alone),
            median(turns.halves.clone()),
            median(turns.tails.clone()),
        );
    }
}

/// Waits for a flush, of which there is one a second.
fn flushed() {
    thread::park_timeout(Duration::from_millis(1_200));
}

impl Load {
    /// The times to the first tokens, in microseconds. Requests are numbered from `first`.
    fn run(self, port: u16, fields: &'static str, first: usize) -> Vec<f64> {
        match self {
            Self::Closed {
                model,
                connections,
                requests,
            } => closed_loop(port, fields, model, connections, first..first + requests),
            Self::Open => open_loop(port, fields, first),
        }
    }
}

/// CPU time of a gateway per request, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Spent {
    whole: f64,
    /// Of it, the thread's that writes the log.
    writer: f64,
}

impl Spent {
    /// Runs some requests, and says what each took.
    fn per_request(gateway: &Process, run: impl FnOnce() -> usize) -> Self {
        let now = || {
            (
                gateway.own_cpu_micros(),
                gateway.thread_cpu_micros("promptlog"),
            )
        };
        let before = now();
        let count = run() as f64;
        let after = now();
        Self {
            whole: (after.0 - before.0) / count,
            writer: (after.1 - before.1) / count,
        }
    }
}

/// What some turns took, and by how many percent more than those that go with them. Two gateways differ by some percent
/// for as long as they run; in two turns, each has logged once.
fn told(spent: &[Spent], unlogged: &[Spent]) -> String {
    let ratios: Vec<f64> = spent
        .iter()
        .zip(unlogged)
        .map(|(spent, off)| (spent.whole / off.whole).ln())
        .collect();
    let more: Vec<f64> = ratios
        .chunks_exact(2)
        .map(|turns| 100.0 * ((turns.iter().sum::<f64>() / 2.0).exp() - 1.0))
        .collect();
    let (mean, error) = mean(&more);
    let of = |part: fn(&Spent) -> f64| median(spent.iter().map(part).collect());
    format!(
        "{:>5.0} us CPU per request {mean:>+5.1} % +- {error:.1}, the writer {:>4.0} us",
        of(|spent| spent.whole),
        of(|spent| spent.writer),
    )
}

/// The mean of some measurements, and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

fn start(dir: &Path, mode: &str, upstream: &str) -> Process {
    let config = format!(
        "[listen]\napi = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\n[log]\ncontent = \"{mode}\"\n\n{upstream}\n[telemetry]\nlog_level = \"warn\"\n"
    );
    let gateway = rkgate(dir, &config, SPEED);
    closed_loop(gateway.port, "", MODEL, 1, 0..1);
    closed_loop(gateway.port, "", TALK, 16, 1..1 + WARM_UP);
    flushed();
    gateway
}

/// Requests with these numbers on each of some connections, one after the other; the times to their first tokens, in
/// microseconds.
fn closed_loop(
    port: u16,
    fields: &'static str,
    model: &str,
    connections: usize,
    numbers: Range<usize>,
) -> Vec<f64> {
    let firsts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for connection in 0..connections {
            let (firsts, numbers) = (&firsts, numbers.clone());
            scope.spawn(move || {
                let mut client = Client::connect(port).saying(fields);
                for n in numbers {
                    let wait = ask(&mut client, model, connection * 1_000_000 + n);
                    firsts.lock().expect("times").push(wait.as_secs_f64() * 1e6);
                }
            });
        }
    });
    firsts.into_inner().expect("times")
}

/// Requests at a fixed rate, whether earlier ones have been answered or not; the times to their first tokens, in
/// microseconds.
fn open_loop(port: u16, fields: &'static str, first: usize) -> Vec<f64> {
    let firsts = Mutex::new(Vec::new());
    let begun = Instant::now();
    let period = Duration::from_secs(1) * CONNECTIONS / RATE;
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let firsts = &firsts;
            scope.spawn(move || {
                let mut client = Client::connect(port).saying(fields);
                let mut due = begun + period * connection / CONNECTIONS;
                let mut n = first + connection as usize * 1_000_000;
                while due < begun + LASTS {
                    while let wait @ 1.. = due.saturating_duration_since(Instant::now()).as_micros()
                    {
                        thread::park_timeout(Duration::from_micros(wait as u64));
                    }
                    let late = due.elapsed();
                    let wait = late + ask(&mut client, TALK, n);
                    firsts.lock().expect("times").push(wait.as_secs_f64() * 1e6);
                    due += period;
                    n += 1;
                }
            });
        }
    });
    firsts.into_inner().expect("times")
}

/// A short chat; the time to the first piece of its answer.
fn ask(client: &mut Client, model: &str, n: usize) -> Duration {
    let question = format!(
        "In workshop {n} the board of stand {} has stopped; what of its {} clamps is to be looked at?",
        n * 7 % 1009,
        n * 31 % 2003
    );
    let body = format!(
        r#"{{"stream":true,"model":"{model}","messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{question} /no_think"}}]}}"#
    );
    let mut first = None;
    let status = client.post(body.as_bytes(), |_, elapsed| {
        first.get_or_insert(elapsed);
    });
    assert_eq!(status, 200);
    first.expect("an answer")
}
