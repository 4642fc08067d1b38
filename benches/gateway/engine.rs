//! The embedded engine: what a token costs from the runtime's callback to the client's socket, what rkgate adds
//! to the simulator's own prefill, and how much memory the gateway holds.

use std::{path::Path, thread, time::Duration};

use serde_json::Value;

use crate::{
    floor,
    load::Client,
    process::{Process, median, percentile, rkgate},
    simulator,
};

const MODEL: &str = "qwen3-0.6b";
/// The model's file among those that the simulator ships, without its ending.
const FILE: &str = "Qwen3-0.6B-rk3588-w8a8";
/// Times as fast as a board: a token each 8 ms.
const SPEED: &str = "4";
const PERIOD: Duration = Duration::from_millis(8);
const ROUNDS: usize = 5;

/// What one answer showed.
struct Answer {
    tokens: f64,
    first: Duration,
    prefill: Duration,
}

/// What a token costs in CPU time, in microseconds.
struct Cost {
    gateway: f64,
    /// Gateway and worker together, all that they do.
    both: f64,
    tokens: f64,
}

/// Prints token cost, first-token overhead and memory.
pub(crate) fn run() {
    let dir = tempfile::tempdir().expect("temp dir");
    let config = "[listen]\napi = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\n[log]\ncontent = \"off\"\n\n[telemetry]\nlog_level = \"warn\"\n";
    println!("\nEmbedded engine ({MODEL} on the simulated board).");
    one_stream(dir.path(), config);

    // At real time, because the runtime's own prefill time is that of the model, not of the sleep.
    overhead(&rkgate(dir.path(), config, "1"));

    let unpaced = rkgate(dir.path(), config, "0");
    ask(&mut Client::connect(unpaced.port), "Say hello.");
    let Cost { both, tokens, .. } = stream(&unpaced, 16, &prompts(4));
    println!(
        "sixteen streams, simulator unpaced, gateway and worker: {both:.1} us CPU per token ({tokens:.0} tokens; to reach: 60)"
    );
    println!(
        "resident after that load: {:.1} MiB, a second later {:.1} MiB (gateway process; to reach: 30)",
        unpaced.resident_mib(),
        unpaced.resident_later_mib()
    );
}

/// From the runtime's callback to the socket: what gateway and worker use less what the simulator alone uses, which
/// sleeps, locks the simulated NPU and makes up the tokens in the worker's process.
fn one_stream(dir: &Path, config: &str) {
    let models = dir.join("models");
    rkllm_sim::shipped::install(&models).expect("models");
    let model = models.join(FILE).join(format!("{FILE}.rkllm"));
    let paced = rkgate(dir, config, SPEED);
    ask(&mut Client::connect(paced.port), "Say hello.");
    println!(
        "resident, one model loaded, idle: {:.1} MiB (gateway process)",
        paced.resident_mib()
    );
    let (mut gateway, mut both, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    let mut floor = Vec::new();
    for _ in 0..ROUNDS {
        let prompts = prompts(2);
        floor.push(floor::cost_per_token(PERIOD));
        alone.push(simulator::cost_per_token(dir, SPEED, &model, &prompts));
        let cost = stream(&paced, 1, &prompts);
        gateway.push(cost.gateway);
        both.push(cost.both);
    }
    let (gateway, both, alone) = (median(gateway), median(both), median(alone));
    println!(
        "one stream, a token each 8 ms, {ROUNDS} rounds, medians in us CPU per token:\n  \
           gateway and worker, all they do   {both:>7.1}  (the gateway alone {gateway:.1})\n  \
           simulator alone, empty callback   {alone:>7.1}\n  \
           from callback to socket           {:>7.1}  (to reach: 150)\n  \
           two processes that only pass it on {floor:>6.1}",
        both - alone,
        floor = median(floor),
    );
}

fn prompts(count: usize) -> Vec<String> {
    (0..count)
        .map(|run| format!("Count from 1 to 200, one number per line. Run {run}."))
        .collect()
}

/// Sends the prompts one after the other on each of some connections.
fn stream(gateway: &Process, connections: usize, prompts: &[String]) -> Cost {
    let (own, both) = (gateway.own_cpu_micros(), gateway.cpu_micros());
    let tokens: f64 = thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|connection| {
                scope.spawn(move || {
                    let mut client = Client::connect(gateway.port);
                    prompts
                        .iter()
                        .map(|prompt| ask(&mut client, &format!("{prompt} {connection}")).tokens)
                        .sum::<f64>()
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("client"))
            .sum()
    });
    Cost {
        gateway: (gateway.own_cpu_micros() - own) / tokens,
        both: (gateway.cpu_micros() - both) / tokens,
        tokens,
    }
}

fn overhead(gateway: &Process) {
    let mut client = Client::connect(gateway.port);
    let mut added: Vec<f64> = (0..60)
        .map(|run| {
            let answer = ask(&mut client, &format!("Number {run}: say hello."));
            (answer.first.as_secs_f64() - answer.prefill.as_secs_f64()) * 1e3
        })
        .collect();
    println!(
        "time to first token above the simulator's own prefill and first decode: p50 {:.2} ms, p99 {:.2} ms (to reach: p99 3)",
        percentile(&mut added, 50.0),
        percentile(&mut added, 99.0)
    );
}

/// One streamed chat without thinking.
fn ask(client: &mut Client, text: &str) -> Answer {
    let body = serde_json::json!({
        "stream": true, "model": MODEL, "stream_options": {"include_usage": true},
        "chat_template_kwargs": {"enable_thinking": false},
        "messages": [{"role": "user", "content": text}],
    });
    let (mut first, mut usage) = (None, Value::Null);
    let status = client.post(body.to_string().as_bytes(), |line, elapsed| {
        let Some(chunk) = line
            .strip_prefix("data: ")
            .and_then(|data| serde_json::from_str::<Value>(data).ok())
        else {
            return;
        };
        if chunk["choices"][0]["delta"]["content"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
        {
            first.get_or_insert(elapsed);
        }
        if chunk["usage"].is_object() {
            usage = chunk;
        }
    });
    assert_eq!(status, 200);
    Answer {
        tokens: usage["usage"]["completion_tokens"].as_f64().expect("usage"),
        first: first.expect("an answer"),
        prefill: Duration::from_secs_f64(
            usage["timings"]["prompt_ms"].as_f64().unwrap_or(0.0) / 1e3,
        ),
    }
}
