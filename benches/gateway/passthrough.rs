//! CPU per request and added latency of a request that nothing changes, beside bare pingora and nginx.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    load::{self, Client},
    process::{Process, free_port, median, percentile, rkgate},
};

const ROUNDS: usize = 4;

/// The proxies under test, the reference first, all before one stub upstream.
pub(crate) struct Proxies {
    pub(crate) stub: Process,
    pub(crate) proxies: Vec<(&'static str, Process)>,
    _dir: tempfile::TempDir,
}

impl Proxies {
    pub(crate) fn start() -> Self {
        let own = std::env::current_exe().expect("own path");
        let dir = tempfile::tempdir().expect("temp dir");
        let stub = Process::announced(Command::new(&own).arg("stub"));
        let upstream = format!("127.0.0.1:{}", stub.port);
        let port = free_port();
        let bare = Process::on_port(
            Command::new(&own).args(["bare", &port.to_string(), &upstream]),
            port,
        );
        let mut proxies = vec![("bare pingora", bare)];
        proxies.extend(nginx(dir.path(), &upstream).map(|nginx| ("nginx", nginx)));
        let config = format!(
            "[listen]\napi = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\n[log]\ncontent = \"off\"\n\n[[upstream]]\nname = \"stub\"\nurls = [\"http://{upstream}/v1\"]\n\n[telemetry]\nlog_level = \"warn\"\n"
        );
        proxies.push(("rkgate", rkgate(dir.path(), &config, "0")));
        Self {
            stub,
            proxies,
            _dir: dir,
        }
    }
}

fn nginx(dir: &Path, upstream: &str) -> Option<Process> {
    let port = free_port();
    let config = format!(
        "daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr crit; events {{}}\n\
         http {{ access_log off; client_max_body_size 64m; client_body_buffer_size 1m; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
         upstream stub {{ server {upstream}; keepalive 64; }}\n\
         server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000; location / {{ proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }} }} }}\n",
        dir = dir.display()
    );
    let path = dir.join("nginx.conf");
    fs::write(&path, config).expect("write");
    if Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        println!("nginx is not installed: its rows are left out");
        return None;
    }
    Some(Process::on_port(
        Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .stderr(Stdio::null()),
        port,
    ))
}

/// Thinking as some clients send it back with the history.
const THOUGHT: &str = "<think>\\nHm.\\n</think>\\n\\n";

/// Prints a table for 8 KB and 60 KB bodies, one connection and sixteen: first for bodies that the shipped rules leave as
/// they are, then for one that they take thinking out of. The references pass both on.
pub(crate) fn run() {
    let proxies = Proxies::start();
    println!(
        "\nPass-through, nothing changed. {ROUNDS} alternating rounds, medians; one shared core."
    );
    heading();
    for (size, requests) in [(8_000, 1_500), (60_000, 800)] {
        let body = load::chat_body("stub", false, size, "");
        assert_eq!(passed(&proxies, &body), body.len(), "nothing is to change");
        for connections in [1, 16] {
            table(&proxies, &body, connections, requests / connections);
        }
    }
    println!(
        "\nRewritten by rkgate: thinking is taken out of every answer (to reach: 3.0 x bare)."
    );
    heading();
    let body = load::chat_body("stub", false, 60_000, THOUGHT);
    let text = String::from_utf8(body.clone()).expect("text");
    assert_eq!(passed(&proxies, &body), text.replace(THOUGHT, "").len());
    for connections in [1, 16] {
        table(&proxies, &body, connections, 800 / connections);
    }
    for (name, proxy) in &proxies.proxies {
        println!(
            "resident after load: {name} {:.1} MiB, a second later {:.1} MiB",
            proxy.resident_mib(),
            proxy.resident_later_mib()
        );
    }
}

fn heading() {
    println!(
        "{:>6} {:>5}  {:<14} {:>12} {:>9} {:>12} {:>12}",
        "body", "conns", "proxy", "CPU us/req", "x bare", "p50 us (+)", "p99 us (+)"
    );
}

/// Bytes of a body that reach the upstream through rkgate.
fn passed(proxies: &Proxies, body: &[u8]) -> usize {
    let (_, rkgate) = proxies.proxies.last().expect("rkgate");
    let mut told = None;
    let status = Client::connect(rkgate.port).post(body, |line, _| {
        let answer: serde_json::Value = serde_json::from_str(line).expect("JSON");
        told = answer["usage"]["prompt_tokens"].as_u64();
    });
    assert_eq!(status, 200);
    usize::try_from(told.expect("the length")).expect("a length")
}

fn table(proxies: &Proxies, body: &[u8], connections: usize, requests: usize) {
    let targets: Vec<(&str, &Process)> = std::iter::once(("direct", &proxies.stub))
        .chain(proxies.proxies.iter().map(|(name, proxy)| (*name, proxy)))
        .collect();
    let mut figures = vec![[vec![], vec![], vec![]]; targets.len()];
    for (_, target) in &targets {
        load::closed_loop(target.port, connections, requests / 4 + 1, body);
    }
    for _ in 0..ROUNDS {
        for ((_, target), figures) in targets.iter().zip(&mut figures) {
            let before = target.cpu_micros();
            let mut latencies = load::closed_loop(target.port, connections, requests, body);
            let spent = target.cpu_micros() - before;
            figures[0].push(spent / latencies.len() as f64);
            figures[1].push(percentile(&mut latencies, 50.0));
            figures[2].push(percentile(&mut latencies, 99.0));
        }
    }
    let medians: Vec<[f64; 3]> = figures
        .into_iter()
        .map(|figure| figure.map(median))
        .collect();
    let (direct, bare) = (medians[0], medians[1]);
    for ((name, _), [cpu, p50, p99]) in targets.iter().zip(&medians) {
        let cost = if *name == "direct" {
            format!("{:>12} {:>9}", "-", "-")
        } else {
            format!("{cpu:>12.1} {:>9.2}", cpu / bare[0])
        };
        println!(
            "{:>5}K {connections:>5}  {name:<14} {cost} {p50:>5.0} {:>+6.0} {p99:>5.0} {:>+6.0}",
            body.len() / 1000,
            p50 - direct[1],
            p99 - direct[2],
        );
    }
}
