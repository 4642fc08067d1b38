//! Reading an upstream's answer after it has passed by, for the log alone.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::Record;
use crate::{
    chat::{ToolCall, Usage, answer::Answer},
    wire::sse::SseReader,
};

/// Largest answer that is kept, in bytes, unpacked; what comes after is not.
pub const LARGEST_REPLY: usize = 8 << 20;

/// An upstream's answer as it came.
#[derive(Debug, Clone, Default)]
pub struct ReplyBody {
    /// The body, as it was packed.
    pub body: Bytes,
    /// Whether it is a stream of events; one JSON object otherwise.
    pub is_stream: bool,
    /// How it is packed.
    pub coding: Coding,
    /// Whether its end is missing, because it is longer than [`LARGEST_REPLY`].
    pub is_cut: bool,
}

/// How an answer is packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Coding {
    /// It is not.
    #[default]
    Identity,
    /// As gzip.
    Gzip,
    /// In another way, of which nothing can be read.
    Other(String),
}

/// What an answer says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// Text, thinking, calls. Where the answer is none that can be read, its body as text.
    pub answer: Answer,
    /// Why it ended.
    pub finish: Option<String>,
    /// Tokens.
    pub usage: Option<Usage>,
    /// Why it, or a part of it, could not be read.
    pub unread: Option<String>,
}

impl ReplyBody {
    /// Reads the answer into a record; what is known better already stays.
    pub(super) fn read_into(self, record: &mut Record) {
        let reply = read_reply(&self);
        // The body tells of the failure, or was left in its middle.
        let is_known = record.error.is_some() && !self.is_stream && reply.unread.is_some();
        record.finish = record.finish.take().or(reply.finish.map(Into::into));
        record.usage = record.usage.or(reply.usage);
        if let Some(content) = &mut record.content
            && !is_known
        {
            content.answer = reply.answer;
            content.unread = reply.unread;
        }
    }

    fn unpacked(&self) -> Result<Unpacked<'_>, String> {
        let most = LARGEST_REPLY as u64;
        match &self.coding {
            Coding::Identity => Ok(Unpacked {
                body: Cow::Borrowed(&self.body),
                is_cut: self.is_cut,
            }),
            Coding::Gzip => {
                let mut text = Vec::new();
                let mut decoder = MultiGzDecoder::new(&*self.body).take(most);
                match decoder.read_to_end(&mut text) {
                    // As much as there is of an answer that was left or is too long.
                    Err(error)
                        if error.kind() == io::ErrorKind::UnexpectedEof && !text.is_empty() => {}
                    Err(error) => return Err(format!("it is no gzip: {error}")),
                    Ok(_) => {}
                }
                Ok(Unpacked {
                    is_cut: self.is_cut || text.len() as u64 == most,
                    body: Cow::Owned(text),
                })
            }
            Coding::Other(name) => Err(format!("it is packed as {name}")),
        }
    }
}

struct Unpacked<'b> {
    body: Cow<'b, [u8]>,
    is_cut: bool,
}

/// Reads an answer in OpenAI's format: as much of it as can be read.
#[must_use]
pub fn read_reply(answer: &ReplyBody) -> Reply {
    let mut reply = Reply::default();
    let Unpacked { body, is_cut } = match answer.unpacked() {
        Ok(unpacked) => unpacked,
        Err(why) => {
            reply.unread = Some(why);
            return reply;
        }
    };
    let (mut is_read, mut is_valid) = (false, true);
    let mut take = |data: &[u8]| {
        let json = String::from_utf8_lossy(data);
        is_valid &= matches!(json, Cow::Borrowed(_));
        is_read |= reply.take(&json);
    };
    if answer.is_stream {
        let mut reader = SseReader::default();
        reader.push(&body, &mut take);
        reader.finish(&mut take);
    } else {
        take(&body);
    }
    reply.unread = if body.is_empty() {
        None
    } else if is_cut {
        Some(format!("it is longer than {} MiB", LARGEST_REPLY >> 20))
    } else if !is_read && answer.is_stream {
        Some("it is a stream of something else than chat chunks".to_owned())
    } else if !is_read {
        Some("it is no JSON with choices".to_owned())
    } else {
        (!is_valid).then(|| "it is no valid UTF-8".to_owned())
    };
    if reply.unread.is_some() && !is_read {
        reply.answer.content = String::from_utf8_lossy(&body).into_owned();
    }
    reply
}

impl Reply {
    /// Takes a chunk of a stream or a whole answer and says whether it was one; what is neither is passed over.
    fn take(&mut self, json: &str) -> bool {
        let Ok(chunk) = serde_json::from_str::<Chunk>(json) else {
            return false;
        };
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.into());
        }
        let Some(choices) = chunk.choices else {
            return false;
        };
        // Further choices are further tries; the log keeps the first.
        let Some(choice) = choices.into_iter().find(|choice| choice.index == 0) else {
            return true;
        };
        self.finish = choice.finish_reason.or(self.finish.take());
        let message = choice.delta.or(choice.message).unwrap_or_default();
        let text = message.content.or(choice.text).unwrap_or_default();
        self.answer.content.push_str(&text.0);
        let reasoning = [
            message.reasoning_content,
            message.reasoning,
            message.thinking,
        ];
        let reasoning = reasoning
            .into_iter()
            .flatten()
            .find(|text| !text.0.is_empty());
        let reasoning = reasoning.unwrap_or_default();
        self.answer.reasoning.push_str(&reasoning.0);
        for call in message.tool_calls.unwrap_or_default() {
            self.call(call);
        }
        true
    }

    fn call(&mut self, call: Call) {
        // A stream brings the arguments of a call in pieces, under the call's index.
        let calls = &mut self.answer.tool_calls;
        let index = call.index.unwrap_or(calls.len()).min(calls.len());
        if index == calls.len() {
            calls.push(ToolCall {
                id: String::new(),
                name: String::new(),
                arguments: String::new(),
            });
        }
        if let Some(known) = calls.get_mut(index) {
            known.id.push_str(&call.id.unwrap_or_default());
            known.name.push_str(&call.function.name.unwrap_or_default());
            known
                .arguments
                .push_str(&call.function.arguments.unwrap_or_default());
        }
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: usize,
    #[serde(borrow)]
    delta: Option<Message<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    /// Of `/v1/completions`.
    #[serde(borrow)]
    text: Option<Text<'a>>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    tool_calls: Option<Vec<Call>>,
}

/// A string that is borrowed where it has no escapes: a `Cow` in an `Option` never is.
#[derive(Default, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Call {
    index: Option<usize>,
    id: Option<String>,
    #[serde(default)]
    function: Function,
}

#[derive(Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Default, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u32>,
}

#[derive(Default, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u32>,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        let cached = tokens.prompt_tokens_details.unwrap_or_default();
        let reasoning = tokens.completion_tokens_details.unwrap_or_default();
        Self {
            prompt: tokens.prompt_tokens,
            cached: cached.cached_tokens.unwrap_or(0),
            completion: tokens.completion_tokens,
            reasoning: reasoning.reasoning_tokens.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn read(text: &str, is_stream: bool) -> Reply {
        read_reply(&ReplyBody {
            body: Bytes::copy_from_slice(text.as_bytes()),
            is_stream,
            ..ReplyBody::default()
        })
    }

    #[test]
    fn a_stream_is_read_event_by_event() {
        let text = concat!(
            ": heartbeat\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"reasoning\":\"Hm\",\"reasoning_content\":\"Hm\"}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grüße\"}}]}\n\n",
            "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"another\"}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":5}}}\n\n",
            "data: [DONE]\n\n",
        );
        let whole = read(text, true);
        assert_eq!(whole.answer.content, "Grüße");
        assert_eq!(whole.answer.reasoning, "Hm");
        let call = whole.answer.tool_calls.first().unwrap();
        assert_eq!(
            (call.id.as_str(), call.arguments.as_str()),
            ("c1", "{\"a\":1}")
        );
        assert_eq!(whole.finish.as_deref(), Some("tool_calls"));
        let usage = whole.usage.unwrap();
        assert_eq!((usage.prompt, usage.cached, usage.completion), (9, 5, 4));
    }

    #[test]
    fn a_whole_answer_is_read_and_anything_else_passed_over() {
        let text = r#"{"choices":[{"message":{"content":"Hi","tool_calls":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let reply = read(text, false);
        assert_eq!(reply.answer.content, "Hi");
        assert_eq!(reply.finish.as_deref(), Some("stop"));
        for (text, is_stream) in [
            ("<html>", false),
            (r#"{"error":{"message":"no"}}"#, false),
            ("data: {]\n\n", true),
        ] {
            let reply = read(text, is_stream);
            assert_eq!(reply.answer.content, text, "kept as it is");
            assert!(reply.unread.is_some(), "{text}");
        }
        assert_eq!(read("", false), Reply::default());
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let json = |text: &str| format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}]}}"#);
        let body = |bytes: &[u8], coding| ReplyBody {
            body: Bytes::copy_from_slice(bytes),
            coding,
            ..ReplyBody::default()
        };
        let packed = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let reply = read_reply(&body(&packed(&json("Hi")), Coding::Gzip));
        assert_eq!((reply.answer.content.as_str(), reply.unread), ("Hi", None));

        let reply = read_reply(&body(b"no gzip", Coding::Gzip));
        assert!(reply.unread.unwrap().contains("gzip"));
        let reply = read_reply(&body(b"?", Coding::Other("br".to_owned())));
        assert_eq!(reply.unread.as_deref(), Some("it is packed as br"));

        let reply = read_reply(&body(&packed(&json(&"z".repeat(9 << 20))), Coding::Gzip));
        assert_eq!(reply.answer.content.len(), LARGEST_REPLY);
        assert_eq!(reply.unread.as_deref(), Some("it is longer than 8 MiB"));

        let garbled = [
            br#"{"choices":[{"message":{"content":"a"#,
            &b"\xff"[..],
            br#""}}]}"#,
        ]
        .concat();
        let reply = read_reply(&body(&garbled, Coding::Identity));
        assert_eq!(reply.answer.content, "a\u{fffd}");
        assert_eq!(reply.unread.as_deref(), Some("it is no valid UTF-8"));
    }

    #[test]
    fn a_failures_own_answer_is_not_told_twice() {
        let body = || ReplyBody {
            body: Bytes::from_static(b"{\"error\":{\"message\":\"no\"}}"),
            ..ReplyBody::default()
        };
        for (error, expected) in [(Some("no".to_owned()), false), (None, true)] {
            let mut record = Record {
                error,
                content: Some(crate::promptlog::Content::default()),
                ..Record::default()
            };
            body().read_into(&mut record);
            let content = record.content.unwrap();
            assert_eq!(content.unread.is_some(), expected);
            assert_eq!(!content.answer.content.is_empty(), expected);
        }
    }
}
