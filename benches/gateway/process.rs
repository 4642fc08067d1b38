//! Child processes and what the kernel says of them.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A child that is ended with the benchmark.
pub(crate) struct Process {
    child: Child,
    /// Where it listens on loopback.
    pub(crate) port: u16,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a child and waits for the first line of its output that names a port after the last colon.
    pub(crate) fn announced(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let port = loop {
            let line = lines
                .next()
                .expect("the child ended before it announced a port")
                .expect("read");
            if let Some(port) = line
                .rsplit(':')
                .next()
                .and_then(|port| port.trim().parse().ok())
            {
                break port;
            }
        };
        thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }

    /// Starts a child that was told its port, and waits until it accepts.
    pub(crate) fn on_port(command: &mut Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).spawn().expect("start");
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "nothing listens on {port}"
            );
            thread::park_timeout(Duration::from_millis(20));
        }
        Self { child, port }
    }

    /// CPU time used so far by this process and its descendants that still run, in microseconds.
    pub(crate) fn cpu_micros(&self) -> f64 {
        tree(self.child.id()).into_iter().map(cpu_micros).sum()
    }

    /// CPU time used so far by this process alone, in microseconds.
    pub(crate) fn own_cpu_micros(&self) -> f64 {
        cpu_micros(self.child.id())
    }

    /// CPU time used so far by this process's thread of this name, in microseconds.
    pub(crate) fn thread_cpu_micros(&self, name: &str) -> f64 {
        let named = |task: &std::path::PathBuf| {
            fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        let tasks = tasks(self.child.id());
        tasks
            .iter()
            .filter(|task| named(task))
            .filter_map(|task| task_micros(task))
            .sum()
    }

    /// Resident memory of this process alone, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        status_kib(self.child.id(), "VmRSS:") / 1024.0
    }

    /// As [`Self::resident_mib`], once freed memory has had a second to go back to the system.
    pub(crate) fn resident_later_mib(&self) -> f64 {
        thread::park_timeout(Duration::from_secs(1));
        self.resident_mib()
    }
}

fn status_kib(pid: u32, field: &str) -> f64 {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            line.strip_prefix(field)?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0.0)
}

fn tasks(pid: u32) -> Vec<std::path::PathBuf> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

fn tree(pid: u32) -> Vec<u32> {
    let children = tasks(pid)
        .into_iter()
        .filter_map(|task| fs::read_to_string(task.join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<u32>>()
        })
        .flat_map(tree);
    std::iter::once(pid).chain(children).collect()
}

/// CPU time used so far by the threads of a process that still run, in microseconds.
pub(crate) fn cpu_micros(pid: u32) -> f64 {
    tasks(pid).iter().filter_map(|task| task_micros(task)).sum()
}

fn task_micros(task: &Path) -> Option<f64> {
    let spent = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanos: f64 = spent.split_whitespace().next()?.parse().ok()?;
    Some(nanos / 1000.0)
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .expect("bind")
        .local_addr()
        .expect("address")
        .port()
}

/// rkgate with this configuration in `dir`; the simulated board runs at `speed`.
pub(crate) fn rkgate(dir: &Path, config: &str, speed: &str) -> Process {
    let path = dir.join("rkgate.toml");
    fs::write(&path, config).expect("write the configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rkgate"));
    command.args(["serve", "--config"]).arg(&path);
    Process::announced(on_board(&mut command, dir, speed))
}

/// Gives a process the simulated board of `dir`, which runs at `speed`.
pub(crate) fn on_board<'a>(command: &'a mut Command, dir: &Path, speed: &str) -> &'a mut Command {
    command
        .current_dir(dir)
        .env("RKLLM_SIM_SPEED", speed)
        .env("RKLLM_SIM_NPU", dir.join("npu.lock"))
        .stderr(Stdio::null())
}

/// The middle of some measurements.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    percentile(&mut values, 50.0)
}

/// The value below which `percent` of the measurements lie.
pub(crate) fn percentile(values: &mut [f64], percent: f64) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * (values.len() - 1) as f64).round() as usize;
    values[rank]
}
