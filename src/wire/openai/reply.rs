//! Whole answers, for requests that did not ask for a stream.

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::{finish_name, json, usage::Usage};
use crate::chat::{self, FinishReason, answer::Answer};

#[derive(Serialize)]
struct Reply<'a, Choice> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice; 1],
    usage: Usage,
}

#[derive(Serialize)]
struct ChatChoice<'a> {
    index: u32,
    message: Message<'a>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    /// Null where the answer is nothing but calls.
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

impl<'a> From<&'a chat::ToolCall> for ToolCall<'a> {
    fn from(call: &'a chat::ToolCall) -> Self {
        Self {
            id: &call.id,
            kind: "function",
            function: Function {
                name: &call.name,
                arguments: &call.arguments,
            },
        }
    }
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct TextChoice<'a> {
    index: u32,
    text: &'a str,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

/// The reply of `/v1/chat/completions` with the id `chatcmpl-<request_id>`. `created` is in Unix seconds, `model`
/// the name that the client used.
#[must_use]
pub fn chat_completion(
    request_id: &str,
    created: u64,
    model: &str,
    answer: &Answer,
    finish: FinishReason,
    usage: chat::Usage,
) -> Bytes {
    let message = Message {
        role: "assistant",
        content: (!answer.content.is_empty() || answer.tool_calls.is_empty())
            .then_some(&answer.content),
        reasoning_content: &answer.reasoning,
        tool_calls: answer.tool_calls.iter().map(ToolCall::from).collect(),
    };
    to_json(&Reply {
        id: format!("chatcmpl-{request_id}"),
        object: "chat.completion",
        created,
        model,
        choices: [ChatChoice {
            index: 0,
            message,
            finish_reason: finish_name(finish),
        }],
        usage: usage.into(),
    })
}

/// The reply of `/v1/completions` with the id `cmpl-<request_id>`.
#[must_use]
pub fn text_completion(
    request_id: &str,
    created: u64,
    model: &str,
    text: &str,
    finish: FinishReason,
    usage: chat::Usage,
) -> Bytes {
    to_json(&Reply {
        id: format!("cmpl-{request_id}"),
        object: "text_completion",
        created,
        model,
        choices: [TextChoice {
            index: 0,
            text,
            logprobs: None,
            finish_reason: finish_name(finish),
        }],
        usage: usage.into(),
    })
}

fn to_json(reply: &impl Serialize) -> Bytes {
    let mut out = BytesMut::new();
    json::write(&mut out, reply);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: chat::Usage = chat::Usage {
        prompt: 3,
        cached: 0,
        completion: 2,
        reasoning: 0,
    };
    const USAGE_JSON: &str = r#""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}"#;

    fn chat_reply(answer: &Answer, finish: FinishReason) -> Bytes {
        chat_completion("r1", 7, "m", answer, finish, USAGE)
    }

    fn golden(message: &str, finish: &str) -> String {
        format!(
            r#"{{"id":"chatcmpl-r1","object":"chat.completion","created":7,"model":"m","choices":[{{"index":0,"message":{message},"finish_reason":"{finish}"}}],{USAGE_JSON}}}"#
        )
    }

    #[test]
    fn text_with_thinking() {
        let answer = Answer {
            content: "Hi".into(),
            reasoning: "Hm".into(),
            tool_calls: vec![],
        };
        assert_eq!(
            chat_reply(&answer, FinishReason::Stop),
            golden(
                r#"{"role":"assistant","content":"Hi","reasoning_content":"Hm"}"#,
                "stop"
            )
        );
        let empty = Answer::default();
        assert_eq!(
            chat_reply(&empty, FinishReason::Length),
            golden(r#"{"role":"assistant","content":""}"#, "length")
        );
    }

    #[test]
    fn calls_alone_have_no_content() {
        let call = chat::ToolCall {
            id: "call_r1_0".into(),
            name: "f".into(),
            arguments: "{}".into(),
        };
        let answer = Answer {
            tool_calls: vec![call],
            ..Answer::default()
        };
        assert_eq!(
            chat_reply(&answer, FinishReason::ToolCalls),
            golden(
                r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call_r1_0","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
                "tool_calls"
            )
        );
    }

    #[test]
    fn raw_text() {
        assert_eq!(
            text_completion("r1", 7, "m", " a", FinishReason::Stop, USAGE),
            format!(
                r#"{{"id":"cmpl-r1","object":"text_completion","created":7,"model":"m","choices":[{{"index":0,"text":" a","logprobs":null,"finish_reason":"stop"}}],{USAGE_JSON}}}"#
            )
        );
    }
}
