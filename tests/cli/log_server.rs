//! The prompt log of several instances on a PostgreSQL server: one of the test's own, where there is one to start.

use std::{
    env, fs,
    io::{self, Write},
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    log::{FAST, chat, logged, refused, state},
    server::{Server, metric},
    text,
};

const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
const PASSWORD: &str = "correct horse";
/// A user who may do nothing; PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;

/// A PostgreSQL server in a directory of its own; ended with the test.
struct Postgres {
    programs: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
}

impl Postgres {
    /// Starts one; `None` where none is installed.
    fn start() -> Option<Self> {
        let on_path = env::var_os("PATH").unwrap_or_default();
        let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let debian = debian.map(|version| version.unwrap().path().join("bin"));
        let programs = env::split_paths(&on_path)
            .chain(debian)
            .find(|dir| dir.join("initdb").exists() && dir.join("pg_ctl").exists());
        let Some(programs) = programs else {
            // Past the test's own capture: it has to be seen.
            let why = b"SKIPPED: no PostgreSQL server is installed (no initdb and pg_ctl)\n";
            io::stderr().write_all(why).unwrap();
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.unwrap().port();
        let server = Self {
            programs,
            dir,
            port,
        };
        let path = server.dir.path();
        fs::write(path.join("password"), PASSWORD).unwrap();
        for file in ["server.pem", "server.key"] {
            fs::copy(Path::new(TLS).join(file), path.join(file)).unwrap();
        }
        fs::set_permissions(path.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            for file in ["", "password", "server.pem", "server.key"] {
                chown(path.join(file), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        server.run("initdb", "--username=rkgate --pwfile=../password --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C --no-sync");
        server.up();
        Some(server)
    }

    /// Runs one of its programs, with arguments without spaces.
    fn run(&self, program: &str, arguments: &str) {
        let data = self.dir.path().join("data");
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let nobody = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
            command.args(nobody).arg("--clear-groups").arg(program);
            command
        } else {
            Command::new(program)
        };
        let arguments = arguments.replace("../", &format!("{}/", self.dir.path().display()));
        let done = command
            .arg("--pgdata")
            .arg(&data)
            .args(arguments.split(' '))
            .stdout(Stdio::null())
            .current_dir("/")
            .status()
            .unwrap();
        let log = fs::read_to_string(self.dir.path().join("log"));
        assert!(done.success(), "{command:?}: {}", log.unwrap_or_default());
    }

    fn up(&self) {
        let options = format!(
            "port={}
            listen_addresses='127.0.0.1'
            unix_socket_directories='{path}'
            fsync=off
            ssl=on
            ssl_cert_file='{path}/server.pem'
            ssl_key_file='{path}/server.key'
            ",
            self.port,
            path = self.dir.path().display()
        );
        fs::write(self.dir.path().join("data/postgresql.auto.conf"), options).unwrap();
        self.run("pg_ctl", "--log=../log --silent --wait start");
    }

    fn down(&self) {
        self.run("pg_ctl", "--silent --wait --mode=fast stop");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let running = self.dir.path().join("data/postmaster.pid").exists();
        if running && !std::thread::panicking() {
            self.down();
        } else if running {
            // The test has failed already; what it left must still end.
            let pid = fs::read_to_string(self.dir.path().join("data/postmaster.pid"));
            let pid = pid.unwrap_or_default();
            if let Some(pid) = pid.lines().next() {
                let _ = Command::new("kill").args(["-QUIT", pid]).status();
            }
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn wait_until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn instances_share_a_log_on_a_server_that_goes_away_and_comes_back() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let place = postgres.dir.path().display();
    let port = postgres.port;
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let by_socket = format!("postgres:///postgres?user=rkgate&host={place}&port={port}");
    let kitchen = Server::start(
        here.path(),
        &["serve"],
        &[
            FAST,
            ("RKGATE_LOG__URL", &by_socket),
            ("RKGATE_LOG__INSTANCE", "kitchen"),
        ],
    );
    let encrypted =
        format!("postgres://rkgate@localhost:{port}/postgres?sslmode=require&hostaddr=127.0.0.1");
    let certificate = format!("{TLS}/ca.pem");
    let cellar_env = [
        FAST,
        ("RKGATE_LOG__URL", encrypted.as_str()),
        ("RKGATE_LOG__PASSWORD_ENV", "LOG_PASSWORD"),
        ("RKGATE_LOG__INSTANCE", "cellar"),
        ("LOG_PASSWORD", PASSWORD),
        ("SSL_CERT_FILE", &certificate),
    ];
    let cellar = Server::start(there.path(), &["serve"], &cellar_env);
    assert_eq!(chat(&kitchen, "", "How warm is the oven?").0, 200);
    assert_eq!(chat(&cellar, "", "How warm is the wine?").0, 200);
    let records = logged(&kitchen, "text=warm", 2);
    assert_eq!(records, logged(&cellar, "text=warm", 2));
    for (said, instance) in [("oven", "kitchen"), ("wine", "cellar")] {
        let records = logged(&kitchen, &format!("text={said}"), 1);
        assert_eq!(records[0]["instance"], instance, "{records:?}");
    }
    assert_eq!(state(&kitchen)["path"], by_socket);

    postgres.down();
    refused(&kitchen, "while-away");
    wait_until("the log to stop", || state(&kitchen)["state"] == "stopped");
    let stopped = state(&kitchen);
    assert_eq!(stopped["failure"], "unreachable", "{stopped}");
    const AWAY: &str = "rkgate_prompt_log_stopped{reason=\"unreachable\"}";
    assert!(metric(&kitchen.admin, AWAY) > 0.0);
    // It serves as ever.
    assert_eq!(chat(&kitchen, "", "Are you still there?").0, 200);
    let said = fs::read_to_string(here.path().join("stderr")).unwrap();
    assert!(said.contains("the prompt log has stopped"), "{said}");

    postgres.up();
    let records = logged(&kitchen, "request_id=while-away", 1);
    assert_eq!(records[0]["status"], 404);
    logged(&kitchen, "text=still%20there", 1);
    wait_until("the log to go on", || state(&kitchen)["state"] == "running");
    assert_eq!(state(&kitchen)["lost"], 0);

    commands_read_it(there.path(), &cellar_env);
    let wrong = [cellar_env[1], ("SSL_CERT_FILE", "/dev/null")];
    let refused = command(there.path(), &wrong, &["log", "stats"]);
    assert!(
        !refused.status.success(),
        "an unknown certificate was trusted"
    );
    // Before their server goes.
    drop((kitchen, cellar));
}

fn command(dir: &Path, env: &[(&str, &str)], args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_rkgate"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

/// All that `rkgate log` and `rkgate replay` can do works there, too.
fn commands_read_it(dir: &Path, env: &[(&str, &str)]) {
    for (args, told) in [
        (&["log", "tail"][..], "oven"),
        (&["log", "show", "1"], "instance"),
        (&["log", "export", "--format", "csv"], "while-away"),
        (&["log", "export", "--text", "oven"], "kitchen"),
        (&["log", "stats"], "chat"),
        (&["replay"], "4 requests, 0 change"),
    ] {
        let done = command(dir, env, args);
        let out = text(&done.stdout);
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        assert!(out.contains(told), "{args:?}: {out}");
    }
}
