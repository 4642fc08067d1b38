//! The floor of what a token costs: two processes that pass it on and do nothing else, with blocking calls.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::{fd::AsFd, unix::net::UnixStream},
    process::{self, Command, Stdio},
    thread,
    time::Duration,
};

use crate::process::{Process, cpu_micros};

const TOKENS: u32 = 400;
/// About as long as a token is between the processes, and as the event is that it becomes.
const FRAME: usize = 48;
const EVENT: usize = 220;

/// CPU time per token, in microseconds, of both processes less that of the sleeping between tokens.
pub(crate) fn cost_per_token(period: Duration) -> f64 {
    let own = std::env::current_exe().expect("own path");
    let child = |role: &str, socket: UnixStream| {
        let mut command = Command::new(&own);
        command
            .args(["floor", role, &period.as_micros().to_string()])
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)));
        command
    };
    let idle = UnixStream::pair().expect("sockets");
    let asleep = figure(&mut child("sleep", idle.0));
    let (from, to) = UnixStream::pair().expect("sockets");
    let passing = Process::announced(&mut child("pass", to));
    let mut client = TcpStream::connect(("127.0.0.1", passing.port)).expect("connect");
    let read = thread::spawn(move || {
        let (mut event, mut count) = ([0; EVENT], 0_u32);
        while client.read_exact(&mut event).is_ok() {
            count += 1;
        }
        count
    });
    let before = passing.own_cpu_micros();
    let sent = figure(&mut child("send", from));
    let passed = (passing.own_cpu_micros() - before) / f64::from(TOKENS);
    drop(passing);
    assert_eq!(read.join().expect("client"), TOKENS);
    sent + passed - asleep
}

fn figure(command: &mut Command) -> f64 {
    let child = command.stdout(Stdio::piped()).spawn().expect("start");
    let output = child.wait_with_output().expect("wait");
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.trim().parse().expect("a figure")
}

/// Plays one of the two.
pub(crate) fn play(role: &str, period: &str) {
    let socket = io::stdin().as_fd().try_clone_to_owned().expect("a socket");
    let mut socket = UnixStream::from(socket);
    if role == "pass" {
        return pass(socket);
    }
    let period = Duration::from_micros(period.parse().expect("a number"));
    let before = cpu_micros(process::id());
    for _ in 0..TOKENS {
        thread::park_timeout(period);
        if role == "send" {
            socket.write_all(&[7; FRAME]).expect("send");
        }
    }
    println!(
        "{}",
        (cpu_micros(process::id()) - before) / f64::from(TOKENS)
    );
}

fn pass(mut socket: UnixStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    println!("listening on {}", listener.local_addr().expect("address"));
    let (mut client, _) = listener.accept().expect("a client");
    client.set_nodelay(true).expect("no delay");
    let mut frame = [0; FRAME];
    while socket.read_exact(&mut frame).is_ok() {
        client.write_all(&[b'x'; EVENT]).expect("write");
    }
    // Until what it used has been read.
    thread::park();
}
