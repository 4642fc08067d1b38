//! Reading an upstream's answer after it has passed by, for the log alone.

use bytes::Bytes;
use serde::Deserialize;

use super::Record;
use crate::{
    chat::{ToolCall, Usage, answer::Answer},
    wire::sse::SseReader,
};

/// An upstream's answer as it came.
#[derive(Debug, Clone, Default)]
pub struct ReplyBody {
    /// The body, however it was cut.
    pub pieces: Vec<Bytes>,
    /// Whether it is a stream of events; one JSON object otherwise.
    pub is_stream: bool,
}

/// What an answer says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// Text, thinking, calls.
    pub answer: Answer,
    /// Why it ended.
    pub finish: Option<String>,
    /// Tokens.
    pub usage: Option<Usage>,
}

impl ReplyBody {
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Reads the answer into a record; what is known better already stays.
    pub(super) fn read_into(self, record: &mut Record) {
        let reply = read_reply(&self);
        record.finish = record.finish.take().or(reply.finish.map(Into::into));
        record.usage = record.usage.or(reply.usage);
        if let Some(content) = &mut record.content {
            content.answer = reply.answer;
        }
    }
}

/// Reads an answer in OpenAI's format: as much of it as can be read.
#[must_use]
pub fn read_reply(body: &ReplyBody) -> Reply {
    let mut reply = Reply::default();
    if body.is_stream {
        let mut reader = SseReader::default();
        let mut chunk = |data: &[u8]| reply.take(data);
        for piece in &body.pieces {
            reader.push(piece, &mut chunk);
        }
        reader.finish(&mut chunk);
    } else {
        reply.take(&body.pieces.concat());
    }
    reply
}

impl Reply {
    /// Takes a chunk of a stream or a whole answer; what is neither is passed over.
    fn take(&mut self, json: &[u8]) {
        let Ok(chunk) = serde_json::from_slice::<Chunk>(json) else {
            return;
        };
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.into());
        }
        // Further choices are further tries; the log keeps the first.
        let Some(choice) = chunk.choices.into_iter().find(|choice| choice.index == 0) else {
            return;
        };
        self.finish = choice.finish_reason.or(self.finish.take());
        let message = choice.delta.or(choice.message).unwrap_or_default();
        let text = message.content.or(choice.text).unwrap_or_default();
        self.answer.content.push_str(&text);
        let reasoning = [
            message.reasoning_content,
            message.reasoning,
            message.thinking,
        ];
        let reasoning = reasoning
            .into_iter()
            .flatten()
            .find(|text| !text.is_empty());
        self.answer
            .reasoning
            .push_str(&reasoning.unwrap_or_default());
        for call in message.tool_calls.unwrap_or_default() {
            self.call(call);
        }
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
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: usize,
    delta: Option<Message>,
    message: Option<Message>,
    /// Of `/v1/completions`.
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message {
    content: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    thinking: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

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
    use super::*;

    fn read(text: &str, is_stream: bool, cut: usize) -> Reply {
        let pieces = text.as_bytes().chunks(cut).map(Bytes::copy_from_slice);
        read_reply(&ReplyBody {
            pieces: pieces.collect(),
            is_stream,
        })
    }

    #[test]
    fn a_stream_is_read_however_it_is_cut() {
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
        let whole = read(text, true, text.len());
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
        for cut in [1, 2, 3, 7, 64] {
            assert_eq!(read(text, true, cut), whole, "cut into {cut}");
        }
    }

    #[test]
    fn a_whole_answer_is_read_and_anything_else_passed_over() {
        let text = r#"{"choices":[{"message":{"content":"Hi","tool_calls":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let reply = read(text, false, 5);
        assert_eq!(reply.answer.content, "Hi");
        assert_eq!(reply.finish.as_deref(), Some("stop"));
        assert_eq!(read("<html>", false, 3), Reply::default());
        assert_eq!(read("data: {]\n\n", true, 3), Reply::default());
    }
}
