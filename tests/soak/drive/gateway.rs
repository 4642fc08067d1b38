//! The real binary, on a simulated board that takes no time.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::message::MessageReader;

/// Nobody is refused for want of room: what is refused tells nothing of what lasts.
const CONFIG: &str = r#"
[listen]
api = "127.0.0.1:0"
admin = "127.0.0.1:0"
[engine]
library = "sim"
queue_limit = 8192
idle_unload = "0s"
memory_budget = "64GiB"
[limits]
connections = 8192
concurrent_requests = 8192
[telemetry]
log_level = "error"
"#;

/// How long the gateway may take to notice what its clients have done.
const SETTLING: Duration = Duration::from_secs(60);

/// A running gateway; ended with its owner.
pub(super) struct Gateway {
    child: Child,
    dir: tempfile::TempDir,
    pub(super) api: SocketAddr,
    admin: SocketAddr,
}

impl Gateway {
    pub(super) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rkgate.toml"), CONFIG).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rkgate"))
            .arg("serve")
            .current_dir(dir.path())
            .env("RKLLM_SIM_NPU", dir.path().join("npu.lock"))
            .env("RKLLM_SIM_SPEED", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = || {
            let line = lines.next().expect("the gateway ended").unwrap();
            let (_, address) = line.rsplit_once("http://").expect("an address");
            address.parse().unwrap()
        };
        let (api, admin) = (address(), address());
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            dir,
            api,
            admin,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until so many requests have ended and stand in the log; in vain where some got lost.
    pub(super) async fn settle(&self, requests: usize) {
        let deadline = Instant::now() + SETTLING;
        while Instant::now() < deadline {
            let metrics = self.metrics().await;
            let ended = metrics.sum("rkgate_requests_total", "");
            let logged = metrics.sum("rkgate_prompt_log_records_total", "");
            if ended.min(logged) as usize >= requests {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn metrics(&self) -> Metrics {
        Metrics(self.get("/metrics").await)
    }

    /// What the engine has counted.
    pub(super) async fn counters(&self) -> Value {
        let engine: Value = serde_json::from_str(&self.get("/api/engine").await).unwrap();
        engine["counters"].clone()
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut reader = MessageReader::new(stream);
        let mut answer = reader.header().await.unwrap().unwrap();
        reader.body(&mut answer, true).await.unwrap();
        answer.text().to_owned()
    }

    /// The log's records without their content, as CSV.
    pub(super) fn log(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_rkgate"))
            .args(["log", "export", "--format", "csv"])
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `/metrics` says.
pub(super) struct Metrics(String);

impl Metrics {
    /// The sum of a metric over all its labels that hold `label`.
    pub(super) fn sum(&self, name: &str, label: &str) -> f64 {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let is_this = labels.is_empty() || labels.starts_with('{');
            (is_this && labels.contains(label)).then(|| value.parse::<f64>().unwrap())
        });
        values.fold(0.0, |sum, value| sum + value)
    }
}
