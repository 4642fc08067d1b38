//! Streamed answers as server-sent events.
//!
//! Chunks are written straight into the output buffer; a token costs no JSON value. Open WebUI loses text when a
//! chunk has `delta: null`, `timings: null` or `error` beside `choices`, so none of these is ever written.

use bytes::{BufMut, BytesMut};

use super::{
    error::ErrorBody,
    finish_name, json,
    usage::{Timings, Usage},
};
use crate::chat::{self, Event, FinishReason};

/// Encodes the chunks of one streamed answer.
#[derive(Debug, Clone)]
pub struct ChunkEncoder {
    kind: Kind,
    /// What every chunk begins with, up to the inside of `choices`.
    head: BytesMut,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Chat,
    Text,
}

impl ChunkEncoder {
    /// For `/v1/chat/completions`: chunks with the id `chatcmpl-<request_id>`. `created` is in Unix seconds,
    /// `model` the name that the client used.
    #[must_use]
    pub fn chat(request_id: &str, created: u64, model: &str) -> Self {
        Self::new(
            Kind::Chat,
            &format!("chatcmpl-{request_id}"),
            "chat.completion.chunk",
            created,
            model,
        )
    }

    /// For `/v1/completions`: chunks with the id `cmpl-<request_id>`. Of the events, only content is written: raw
    /// text has no thinking and no calls.
    #[must_use]
    pub fn text(request_id: &str, created: u64, model: &str) -> Self {
        Self::new(
            Kind::Text,
            &format!("cmpl-{request_id}"),
            "text_completion",
            created,
            model,
        )
    }

    fn new(kind: Kind, id: &str, object: &str, created: u64, model: &str) -> Self {
        let mut head = BytesMut::new();
        head.put_slice(b"data: {\"id\":");
        json::write(&mut head, id);
        head.put_slice(b",\"object\":");
        json::write(&mut head, object);
        head.put_slice(b",\"created\":");
        json::write(&mut head, &created);
        head.put_slice(b",\"model\":");
        json::write(&mut head, model);
        head.put_slice(b",\"choices\":[");
        Self { kind, head }
    }

    /// The first chunk, which names the role. Text completions have none.
    pub fn start(&self, out: &mut BytesMut) {
        if let Kind::Chat = self.kind {
            self.delta(out, |out| {
                out.put_slice(b"\"role\":\"assistant\",\"content\":\"\"")
            });
        }
    }

    /// One step of the answer.
    pub fn event(&self, event: &Event, out: &mut BytesMut) {
        match (self.kind, event) {
            (Kind::Chat, Event::Content(text)) => self.delta(out, |out| {
                out.put_slice(b"\"content\":");
                json::write(out, text);
            }),
            (Kind::Chat, Event::Reasoning(text)) => self.delta(out, |out| {
                out.put_slice(b"\"reasoning_content\":");
                json::write(out, text);
            }),
            (Kind::Chat, Event::ToolCall { index, call }) => {
                self.delta(out, |out| tool_call(*index, call, out))
            }
            (Kind::Text, Event::Content(text)) => self.text_choice(text, None, out),
            (Kind::Chat, Event::ContentWasReasoning)
            | (
                Kind::Text,
                Event::Reasoning(_) | Event::ContentWasReasoning | Event::ToolCall { .. },
            ) => {}
        }
    }

    /// The chunk that says why the answer ended.
    pub fn finish(&self, reason: FinishReason, out: &mut BytesMut) {
        match self.kind {
            Kind::Chat => {
                out.put_slice(&self.head);
                out.put_slice(b"{\"index\":0,\"delta\":{},\"finish_reason\":");
                json::write(out, finish_name(reason));
                out.put_slice(b"}]}\n\n");
            }
            Kind::Text => self.text_choice("", Some(reason), out),
        }
    }

    /// The chunk with the token counts; it comes after [`Self::finish`] and only if the client asked for it.
    ///
    /// The times go along in llama.cpp's form, which Open WebUI shows as speeds. Where they are unknown the field is
    /// left out: `null` would lose the chunk there.
    pub fn usage(&self, usage: chat::Usage, timings: Option<chat::Timings>, out: &mut BytesMut) {
        out.put_slice(&self.head);
        out.put_slice(b"],\"usage\":");
        json::write(out, &Usage::from(usage));
        if let Some(timings) = timings {
            out.put_slice(b",\"timings\":");
            json::write(out, &Timings::new(usage, timings));
        }
        out.put_slice(b"}\n\n");
    }

    fn delta(&self, out: &mut BytesMut, members: impl FnOnce(&mut BytesMut)) {
        out.put_slice(&self.head);
        out.put_slice(b"{\"index\":0,\"delta\":{");
        members(out);
        out.put_slice(b"},\"finish_reason\":null}]}\n\n");
    }

    fn text_choice(&self, text: &str, reason: Option<FinishReason>, out: &mut BytesMut) {
        out.put_slice(&self.head);
        out.put_slice(b"{\"index\":0,\"text\":");
        json::write(out, text);
        out.put_slice(b",\"logprobs\":null,\"finish_reason\":");
        json::write(out, &reason.map(finish_name));
        out.put_slice(b"}]}\n\n");
    }
}

/// A whole call in one delta: models write calls faster than anybody reads half of one.
fn tool_call(index: usize, call: &chat::ToolCall, out: &mut BytesMut) {
    out.put_slice(b"\"tool_calls\":[{\"index\":");
    json::write(out, &index);
    out.put_slice(b",\"id\":");
    json::write(out, &call.id);
    out.put_slice(b",\"type\":\"function\",\"function\":{\"name\":");
    json::write(out, &call.name);
    out.put_slice(b",\"arguments\":");
    json::write(out, &call.arguments);
    out.put_slice(b"}}]");
}

/// The end of every stream.
pub fn write_done(out: &mut BytesMut) {
    out.put_slice(b"data: [DONE]\n\n");
}

/// An error after the stream has begun, and the end of the stream.
pub fn write_error(error: &ErrorBody<'_>, out: &mut BytesMut) {
    out.put_slice(b"data: ");
    error.write(out);
    out.put_slice(b"\n\n");
    write_done(out);
}

/// A comment that keeps idle connections open; every client ignores it.
pub fn write_heartbeat(out: &mut BytesMut) {
    out.put_slice(b": waiting\n\n");
}

/// The event that Open WebUI shows as a status line above the answer. Other clients would take it for a broken
/// chunk: send it only where the request came from Open WebUI's browser page.
pub fn write_status(description: &str, done: bool, out: &mut BytesMut) {
    out.put_slice(b"data: {\"event\":{\"type\":\"status\",\"data\":{\"description\":");
    json::write(out, description);
    out.put_slice(b",\"done\":");
    json::write(out, &done);
    out.put_slice(b"}}}\n\n");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chat::ToolCall;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_chat_stream() {
        let encoder = ChunkEncoder::chat("r1", 1_700_000_000, "qwen3-1.7b");
        let call = ToolCall {
            id: "call_r1_0".into(),
            name: "add".into(),
            arguments: "{\"a\": 1}".into(),
        };
        let stream = written(|out| {
            encoder.start(out);
            encoder.event(&Event::Reasoning("Hm".into()), out);
            encoder.event(&Event::Content("a \"b\"\n\u{1}é".into()), out);
            encoder.event(&Event::ContentWasReasoning, out);
            encoder.event(&Event::ToolCall { index: 0, call }, out);
            encoder.finish(FinishReason::ToolCalls, out);
            encoder.usage(
                chat::Usage {
                    prompt: 10,
                    cached: 4,
                    completion: 7,
                    reasoning: 3,
                },
                Some(chat::Timings {
                    queued: Duration::from_millis(20),
                    prefill: Duration::from_millis(60),
                    decode: Duration::from_millis(3_500),
                }),
                out,
            );
            write_done(out);
        });
        let head = r#"data: {"id":"chatcmpl-r1","object":"chat.completion.chunk","created":1700000000,"model":"qwen3-1.7b","choices":["#;
        let expected = [
            r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"{"index":0,"delta":{"reasoning_content":"Hm"},"finish_reason":null}]}"#,
            r#"{"index":0,"delta":{"content":"a \"b\"\n\u0001é"},"finish_reason":null}]}"#,
            r#"{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_r1_0","type":"function","function":{"name":"add","arguments":"{\"a\": 1}"}}]},"finish_reason":null}]}"#,
            r#"{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
            r#"],"usage":{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}},"timings":{"queue_ms":20.0,"cache_n":4,"prompt_n":6,"prompt_ms":60.0,"prompt_per_second":100.0,"predicted_n":7,"predicted_ms":3500.0,"predicted_per_second":2.0}}"#,
        ];
        let expected: String = expected
            .iter()
            .map(|chunk| format!("{head}{chunk}\n\n"))
            .collect();
        assert_eq!(stream, expected + "data: [DONE]\n\n");
    }

    #[test]
    fn a_text_stream() {
        let encoder = ChunkEncoder::text("r1", 1, "m");
        let stream = written(|out| {
            encoder.start(out);
            encoder.event(&Event::Content("a".into()), out);
            encoder.finish(FinishReason::Length, out);
        });
        let head = r#"data: {"id":"cmpl-r1","object":"text_completion","created":1,"model":"m","choices":["#;
        assert_eq!(
            stream,
            format!(
                "{head}{}\n\n{head}{}\n\n",
                r#"{"index":0,"text":"a","logprobs":null,"finish_reason":null}]}"#,
                r#"{"index":0,"text":"","logprobs":null,"finish_reason":"length"}]}"#
            )
        );
    }

    #[test]
    fn every_data_line_is_json_whatever_the_names() {
        let encoder = ChunkEncoder::chat("a\"b", u64::MAX, "mo\\del\n\u{2028}");
        let stream = written(|out| {
            encoder.start(out);
            encoder.event(&Event::Content("data: x\r\n\r\n".into()), out);
            encoder.finish(FinishReason::Stop, out);
            encoder.usage(
                chat::Usage {
                    prompt: u32::MAX,
                    completion: u32::MAX,
                    ..chat::Usage::default()
                },
                None,
                out,
            );
        });
        let events: Vec<&str> = stream.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 4);
        for event in events {
            let chunk: serde_json::Value =
                serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(chunk["model"], "mo\\del\n\u{2028}");
        }
    }

    #[test]
    fn errors_status_and_heartbeat() {
        let error = ErrorBody {
            message: "gone",
            kind: "server_error",
            param: None,
            code: None,
        };
        assert_eq!(
            written(|out| write_error(&error, out)),
            "data: {\"error\":{\"message\":\"gone\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\ndata: [DONE]\n\n"
        );
        assert_eq!(
            written(|out| write_status("Queued: 2 ahead of you", false, out)),
            "data: {\"event\":{\"type\":\"status\",\"data\":{\"description\":\"Queued: 2 ahead of you\",\"done\":false}}}\n\n"
        );
        assert_eq!(written(write_heartbeat), ": waiting\n\n");
    }
}
