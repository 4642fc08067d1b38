//! An OpenAI-compatible upstream that costs next to nothing: canned answers, one thread per connection.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::words::Words;

/// The model whose streamed answers are made-up text; those of every other one tell when each token was sent.
pub(crate) const TALK: &str = "talk";
/// Tokens of a streamed answer.
pub(crate) const TOKENS: usize = 60;
const GAP: Duration = Duration::from_millis(5);

/// Serves until killed; prints its port first.
pub(crate) fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    println!("stub: {}", listener.local_addr().expect("address"));
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            let _ = connection(stream);
        });
    }
}

/// Microseconds since the epoch: sent in every token, so that the receiver knows its age.
pub(crate) fn now_micros() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("clock")
        .as_micros()
}

fn connection(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(128 * 1024, stream.try_clone()?);
    let mut writer = stream;
    let mut body = Vec::new();
    let mut words = Words::new(now_micros() as u64);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        if first.starts_with("GET") {
            let list = ["stub", TALK].map(|id| format!(r#"{{"id":"{id}","object":"model"}}"#));
            let list = list.join(",");
            json(
                &mut writer,
                &format!(r#"{{"object":"list","data":[{list}]}}"#),
            )?;
        } else if body.starts_with(br#"{"stream":true"#) {
            let talks = String::from_utf8_lossy(&body).contains(&format!(r#""model":"{TALK}""#));
            tokens(&mut writer, talks.then_some(&mut words))?;
        } else {
            json(&mut writer, &answer(length))?;
        }
    }
}

fn json(writer: &mut TcpStream, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    writer.write_all(head.as_bytes())
}

/// Tells the length of the request's body as its tokens.
fn answer(length: usize) -> String {
    let content = "A reverse proxy stands before a server. ".repeat(12);
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"stub","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{length},"completion_tokens":1}}}}"#
    )
}

fn tokens(writer: &mut TcpStream, mut words: Option<&mut Words>) -> std::io::Result<()> {
    writer.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    for _ in 0..TOKENS {
        let token = match &mut words {
            Some(words) => format!(" {}", words.word()),
            None => format!("@{} word", now_micros()),
        };
        let event = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{token}\"}}}}]}}\n\n"
        );
        write!(writer, "{:x}\r\n{event}\r\n", event.len())?;
        thread::park_timeout(GAP);
    }
    let end = "data: [DONE]\n\n";
    write!(writer, "{:x}\r\n{end}\r\n0\r\n\r\n", end.len())
}
