//! The real binary.

use std::{net::SocketAddr, path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::soon;

/// A running `rkgate serve`, killed with the test.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    child: Child,
    /// Kept open, as a terminal would be.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts rkgate in `dir`, where this becomes its configuration, allowed to open so many files.
    pub(crate) async fn start(
        dir: &Path,
        config: &str,
        env: &[(&str, &str)],
        files: usize,
    ) -> Self {
        std::fs::write(dir.join("rkgate.toml"), config).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -n {files} && exec \"$0\" serve")])
            .arg(env!("CARGO_BIN_EXE_rkgate"))
            .current_dir(dir)
            .env("RKGATE_LISTEN__API", "127.0.0.1:0")
            .env("RKGATE_LISTEN__ADMIN", "127.0.0.1:0")
            .env("RKGATE_ENGINE__LIBRARY", "sim")
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.join("stderr")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = async |name: &str| {
            let line = soon("an address of the gateway", output.next_line())
                .await
                .unwrap();
            let address = line.as_deref().and_then(|line| {
                line.strip_prefix(&format!("rkgate: {name} listening on http://"))?
                    .parse()
                    .ok()
            });
            address.unwrap_or_else(|| {
                panic!(
                    "{line:?}; {}",
                    std::fs::read_to_string(dir.join("stderr")).unwrap()
                )
            })
        };
        let (address, admin) = (address("api").await, address("admin").await);
        Self {
            address,
            admin,
            child,
            _output: output,
        }
    }

    /// The names of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = format!("/proc/{}/task", self.child.id().unwrap());
        let name = |task: std::io::Result<std::fs::DirEntry>| {
            // A thread that has just ended has none.
            std::fs::read_to_string(task.unwrap().path().join("comm")).ok()
        };
        let names = std::fs::read_dir(tasks).unwrap().filter_map(name);
        names.map(|name| name.trim().to_owned()).collect()
    }

    /// Sends a signal, e.g. `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap();
        let kill = std::process::Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status();
        assert!(kill.unwrap().success());
    }
}
