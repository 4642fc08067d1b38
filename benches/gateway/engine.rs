//! The embedded engine: what a token costs from the runtime's callback to the client's socket, what rkgate adds
//! to the simulator's own prefill, and how much memory the gateway holds.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::{
    load::Client,
    process::{Process, percentile, rkgate},
};

const MODEL: &str = "qwen3-0.6b";

/// What one answer showed.
struct Answer {
    tokens: f64,
    first: Duration,
    prefill: Duration,
}

/// Prints token cost, first-token overhead and memory.
pub(crate) fn run() {
    let dir = tempfile::tempdir().expect("temp dir");
    let config = "[listen]\napi = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\n[telemetry]\nlog_level = \"warn\"\n";
    println!(
        "\nEmbedded engine ({MODEL} on the simulated board, gateway and worker process together)."
    );

    let paced = rkgate(dir.path(), config, "4");
    ask(&mut Client::connect(paced.port), "Say hello.");
    println!(
        "resident, one model loaded, idle: {:.1} MiB (gateway process)",
        paced.resident_mib()
    );
    let (cost, tokens) = cost_per_token(&paced, 1, 4);
    println!(
        "one stream, a token each 8 ms:       {cost:>7.1} us CPU per token ({tokens:.0} tokens; to reach: 150)"
    );
    drop(paced);

    // At real time, because the runtime's own prefill time is that of the model, not of the sleep.
    overhead(&rkgate(dir.path(), config, "1"));

    let unpaced = rkgate(dir.path(), config, "0");
    ask(&mut Client::connect(unpaced.port), "Say hello.");
    let (cost, tokens) = cost_per_token(&unpaced, 16, 4);
    println!(
        "sixteen streams, simulator unpaced:  {cost:>7.1} us CPU per token ({tokens:.0} tokens; to reach: 60)"
    );
    println!(
        "resident after that load:            {:.1} MiB (gateway process; to reach: 30)",
        unpaced.resident_mib()
    );
}

fn cost_per_token(gateway: &Process, streams: usize, repeats: usize) -> (f64, f64) {
    let before = gateway.cpu_micros();
    let tokens: f64 = thread::scope(|scope| {
        let clients: Vec<_> = (0..streams)
            .map(|stream| {
                scope.spawn(move || {
                    let mut client = Client::connect(gateway.port);
                    (0..repeats)
                        .map(|turn| {
                            let ask_for = format!(
                                "Count from 1 to 200, one number per line. Run {stream}.{turn}."
                            );
                            ask(&mut client, &ask_for).tokens
                        })
                        .sum::<f64>()
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("client"))
            .sum()
    });
    ((gateway.cpu_micros() - before) / tokens, tokens)
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
