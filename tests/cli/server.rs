//! A running `rkgate serve` and the smallest HTTP client.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

/// A gateway on ports of its own; killed when the test ends.
pub(crate) struct Server {
    child: Child,
    /// Kept open: a gateway whose output nobody takes would be another test.
    output: BufReader<std::process::ChildStdout>,
    pub(crate) api: String,
    pub(crate) admin: String,
}

impl Server {
    /// Starts rkgate in `dir` and waits for its two lines. stderr goes to `dir/stderr`.
    pub(crate) fn start(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rkgate"));
        command.args(args).env_clear();
        Self::run(command, dir, env)
    }

    /// Starts rkgate by a shell's script, which is to end with `exec "$0" serve`.
    pub(crate) fn start_with(dir: &Path, script: &str, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_rkgate")]);
        Self::run(command, dir, env)
    }

    fn run(mut command: Command, dir: &Path, env: &[(&str, &str)]) -> Self {
        let mut child = command
            .current_dir(dir)
            .env("RKGATE_LISTEN__API", "127.0.0.1:0")
            .env("RKGATE_LISTEN__ADMIN", "127.0.0.1:0")
            .env("RKGATE_ENGINE__LIBRARY", "sim")
            .env("RKLLM_SIM_NPU", dir.join("npu.lock"))
            .env("RKLLM_SIM_SPEED", "0")
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut address = |name: &str| {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            let address = line
                .strip_prefix(&format!("rkgate: {name} listening on "))
                .map(|rest| rest.trim().to_owned());
            address.unwrap_or_else(|| {
                panic!(
                    "{line:?} is not the line of {name}; {}",
                    std::fs::read_to_string(dir.join("stderr")).unwrap()
                )
            })
        };
        let (api, admin) = (address("api"), address("admin"));
        Self {
            child,
            output,
            api,
            admin,
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .unwrap();
        assert!(kill.success());
    }

    /// Lets files grow to this size in bytes, or `unlimited`.
    pub(crate) fn limit_files(&self, size: &str) {
        let prlimit = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string()])
            .arg(format!("--fsize={size}:"))
            .status()
            .unwrap();
        assert!(prlimit.success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A byte stream to `http://host:port` or `unix:path`.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn connect(base: &str) -> Box<dyn Stream> {
    match base.strip_prefix("unix:") {
        Some(path) => Box::new(UnixStream::connect(path).unwrap()),
        None => Box::new(TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap()),
    }
}

/// Sends a request and returns the stream to read the answer from.
pub(crate) fn send(base: &str, head: &str, body: &str) -> BufReader<Box<dyn Read>> {
    let mut stream = connect(base);
    let length = body.len();
    let host = if head.contains("\r\nHost: ") {
        ""
    } else {
        "\r\nHost: localhost"
    };
    write!(
        stream,
        "{head}{host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    BufReader::new(Box::new(stream))
}

/// Status and body of a GET, with more header lines if need be.
pub(crate) fn get(base: &str, path: &str, headers: &str) -> (u16, String) {
    let (status, _, body) = call(base, &format!("GET {path} HTTP/1.1{headers}"), "");
    (status, body)
}

/// Status, header and body of the answer to a request.
pub(crate) fn call(base: &str, head: &str, body: &str) -> (u16, String, String) {
    let mut answer = String::new();
    send(base, head, body).read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        head.to_owned(),
        body.to_owned(),
    )
}

/// The value of a metric, named with its labels where it has some.
pub(crate) fn metric(admin: &str, name: &str) -> f64 {
    let (status, text) = get(admin, "/metrics", "");
    assert_eq!(status, 200);
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_else(|| panic!("no {name} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
