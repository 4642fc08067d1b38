//! What the prompt log adds to a request: CPU time and time to the first token, with all content kept and with none.

use std::{
    path::Path,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use crate::{
    load::Client,
    process::{Process, median, percentile, rkgate},
};

/// The content modes that are compared; the last one is the reference.
const MODES: [&str; 3] = ["full", "redacted", "off"];
const ROUNDS: usize = 6;
/// Requests of the open loop per second, over so many connections for so long.
const RATE: u32 = 200;
const CONNECTIONS: u32 = 100;
const LASTS: Duration = Duration::from_secs(10);
const MODEL: &str = "qwen3-0.6b";
/// Times as fast as a board: a token each 0.8 ms, an event each.
const SPEED: &str = "40";

/// Prints CPU time per request, through the engine and through an upstream, and the time to the first token.
pub(crate) fn run() {
    let own = std::env::current_exe().expect("own path");
    let stub = Process::announced(std::process::Command::new(own).arg("stub"));
    let upstream = format!(
        "[[upstream]]\nname = \"stub\"\nurls = [\"http://127.0.0.1:{}/v1\"]\n",
        stub.port
    );
    let dirs = MODES.map(|mode| (mode, tempfile::tempdir().expect("temp dir")));
    let gateways: Vec<(&str, Process)> = dirs
        .iter()
        .map(|(mode, dir)| (*mode, start(dir.path(), mode, &upstream)))
        .collect();
    println!(
        "\nThe prompt log by `content`; {ROUNDS} alternating rounds, medians; the writer's time is in it, and what is more is taken round by round (to reach: +5 %)."
    );
    cpu("engine, about 100 tokens", &gateways, MODEL, (1, 40));
    cpu("relayed stream of 60 tokens", &gateways, "stub", (16, 24));
    at_rate(&gateways);
}

/// Streams at the rate that a log must bear: time to the first token and CPU time per request.
fn at_rate(gateways: &[(&str, Process)]) {
    println!(
        "\n{RATE} streams a second through the proxy, {ROUNDS} alternating rounds of {} s, medians (to reach: +5 %, and p99 as with `off`).",
        LASTS.as_secs()
    );
    let mut measured = vec![(Vec::new(), Vec::new(), Vec::new()); gateways.len()];
    for round in 0..ROUNDS {
        for ((_, gateway), (halves, tails, spent)) in gateways.iter().zip(&mut measured) {
            let before = gateway.own_cpu_micros();
            let mut firsts = open_loop(gateway.port, round);
            spent.push((gateway.own_cpu_micros() - before) / firsts.len() as f64);
            halves.push(percentile(&mut firsts, 50.0));
            tails.push(percentile(&mut firsts, 99.0));
        }
    }
    let (.., off) = measured.last().expect("a reference");
    let off = off.clone();
    for ((mode, _), (halves, tails, spent)) in gateways.iter().zip(measured) {
        let more = more(&spent, &off);
        println!(
            "  {mode:<10} first token p50 {:>6.0} us, p99 {:>6.0} us; {:>6.0} us CPU per request {more:>+6.1} %",
            median(halves),
            median(tails),
            median(spent),
        );
    }
}

/// By how many percent each round took more than the reference did in the same round, in the median: a machine that
/// others share is slower from one minute to the next.
fn more(spent: &[f64], reference: &[f64]) -> f64 {
    let rounds = spent.iter().zip(reference);
    median(
        rounds
            .map(|(spent, off)| 100.0 * (spent - off) / off)
            .collect(),
    )
}

fn start(dir: &Path, mode: &str, upstream: &str) -> Process {
    let config = format!(
        "[listen]\napi = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\n[log]\ncontent = \"{mode}\"\n\n{upstream}\n[telemetry]\nlog_level = \"warn\"\n"
    );
    let gateway = rkgate(dir, &config, SPEED);
    ask(&mut Client::connect(gateway.port), MODEL, 0);
    gateway
}

/// CPU time of the gateway's process, over some connections; each request brings text of its own.
fn cpu(
    what: &str,
    gateways: &[(&str, Process)],
    model: &str,
    (connections, requests): (usize, usize),
) {
    let mut spent = vec![Vec::new(); gateways.len()];
    for round in 0..ROUNDS {
        for ((_, gateway), spent) in gateways.iter().zip(&mut spent) {
            let before = gateway.own_cpu_micros();
            thread::scope(|scope| {
                for connection in 0..connections {
                    scope.spawn(move || {
                        let mut client = Client::connect(gateway.port);
                        let first = 1 + (round * connections + connection) * requests;
                        for n in first..first + requests {
                            ask(&mut client, model, n);
                        }
                    });
                }
            });
            // A flush each second.
            thread::park_timeout(Duration::from_millis(1_500));
            let count = (connections * requests) as f64;
            spent.push((gateway.own_cpu_micros() - before) / count);
        }
    }
    let off = spent.last().expect("a reference").clone();
    for ((mode, _), spent) in gateways.iter().zip(spent) {
        let more = more(&spent, &off);
        println!(
            "  {what:<28} {mode:<10} {:>8.0} us CPU per request {more:>+6.1} %",
            median(spent)
        );
    }
}

/// Requests at a fixed rate, whether earlier ones have been answered or not; the times to their first tokens.
fn open_loop(port: u16, round: usize) -> Vec<f64> {
    let firsts = Mutex::new(Vec::new());
    let begun = Instant::now();
    let period = Duration::from_secs(1) * CONNECTIONS / RATE;
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let firsts = &firsts;
            scope.spawn(move || {
                let mut client = Client::connect(port);
                let mut due = begun + period * connection / CONNECTIONS;
                let mut n = round * 1_000_000 + connection as usize * 1_000;
                while due < begun + LASTS {
                    while let wait @ 1.. = due.saturating_duration_since(Instant::now()).as_micros()
                    {
                        thread::park_timeout(Duration::from_micros(wait as u64));
                    }
                    let late = due.elapsed();
                    let first = late + ask(&mut client, "stub", n);
                    firsts
                        .lock()
                        .expect("times")
                        .push(first.as_secs_f64() * 1e6);
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
