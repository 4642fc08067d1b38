//! A closed-loop HTTP/1.1 client: some connections, each sends its next request when the last was answered.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// One connection that is kept alive.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    /// Further header fields, each with its line end.
    fields: &'static str,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .expect("timeout");
        Self {
            reader: BufReader::new(stream.try_clone().expect("clone")),
            writer: stream,
            fields: "",
        }
    }

    /// With these header fields in each request, each with its line end.
    pub(crate) fn saying(self, fields: &'static str) -> Self {
        Self { fields, ..self }
    }

    /// Sends a request and hands every body line to `line` with the time since sending; returns the status.
    pub(crate) fn post(&mut self, body: &[u8], mut line: impl FnMut(&str, Duration)) -> u16 {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n",
            body.len(),
            self.fields,
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        let sent = Instant::now();
        self.writer.write_all(&request).expect("send");
        let status: u16 = self
            .line()
            .split(' ')
            .nth(1)
            .expect("status line")
            .parse()
            .expect("status");
        let (mut length, mut chunked) = (0, false);
        loop {
            let header = self.line().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().expect("length");
            }
            chunked |= header.starts_with("transfer-encoding:");
        }
        if chunked {
            while let size @ 1.. = usize::from_str_radix(&self.line(), 16).expect("chunk size") {
                self.body(size + 2, sent, &mut line);
            }
            self.line();
        } else {
            self.body(length, sent, &mut line);
        }
        status
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("read");
        line.trim_end().to_owned()
    }

    fn body(&mut self, length: usize, sent: Instant, line: &mut impl FnMut(&str, Duration)) {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).expect("body");
        let elapsed = sent.elapsed();
        for text in String::from_utf8_lossy(&bytes)
            .lines()
            .filter(|text| !text.is_empty())
        {
            line(text, elapsed);
        }
    }
}

/// Runs `requests` requests on each of `connections` connections; returns each latency in microseconds.
pub(crate) fn closed_loop(port: u16, connections: usize, requests: usize, body: &[u8]) -> Vec<f64> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(move || {
                    let mut client = Client::connect(port);
                    (0..requests)
                        .map(|_| {
                            let sent = Instant::now();
                            let status = client.post(body, |_, _| {});
                            assert_eq!(status, 200);
                            sent.elapsed().as_secs_f64() * 1e6
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("client"))
            .collect()
    })
}

/// A chat request of about `size` bytes, in the key order of Open WebUI. Each answer in it begins with `thought`.
pub(crate) fn chat_body(model: &str, stream: bool, size: usize, thought: &str) -> Vec<u8> {
    let mut messages = Vec::new();
    while messages.iter().map(String::len).sum::<usize>() + 200 < size {
        let turn = messages.len();
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        let thought = if turn % 2 == 0 { "" } else { thought };
        let text =
            format!("In turn {turn} we speak of \\\"proxies\\\", caches and queues.\\n").repeat(14);
        messages.push(format!(
            r#"{{"role":"{role}","content":"{thought}{text}"}}"#
        ));
    }
    if messages.len() % 2 == 0 {
        messages.pop();
    }
    format!(
        r#"{{"stream":{stream},"model":"{model}","messages":[{}]}}"#,
        messages.join(",")
    )
    .into_bytes()
}
