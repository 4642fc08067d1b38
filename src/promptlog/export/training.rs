//! Conversations to train on: the request as the model saw it and the answer that it gave.

use serde_json::{Value, json};

use crate::{
    chat::{Message, Role},
    promptlog::{Content, Record},
    wire::openai::chat_json,
};

/// `{"messages": [...], "tools": [...]}`, as OpenAI's fine-tuning reads it.
pub(super) fn openai(record: &Record) -> Option<Value> {
    let content = learnable(record)?;
    let mut body = chat_json(content.sent());
    let mut messages = body.get_mut("messages").map(Value::take)?;
    messages.as_array_mut()?.push(answer(content));
    let tools = body.get_mut("tools").map(Value::take);
    Some(match tools {
        Some(tools) => json!({ "messages": messages, "tools": tools }),
        None => json!({ "messages": messages }),
    })
}

/// `{"conversations": [{"from": "human", "value": ...}, ...]}`; tool calls and their results as LLaMA-Factory names them.
pub(super) fn sharegpt(record: &Record) -> Option<Value> {
    let content = learnable(record)?;
    let mut turns: Vec<Value> = content.sent().messages.iter().flat_map(turns).collect();
    let answer = &content.answer;
    if !answer.content.is_empty() {
        turns.push(json!({ "from": "gpt", "value": answer.content }));
    }
    turns.extend(answer.tool_calls.iter().map(call));
    Some(json!({ "conversations": turns }))
}

/// The content of a record that ended well, by itself, and has an answer.
fn learnable(record: &Record) -> Option<&Content> {
    let content = record.content.as_ref()?;
    let answer = &content.answer;
    let answered = !answer.content.is_empty() || !answer.tool_calls.is_empty();
    let by_itself = matches!(record.finish.as_deref(), Some("stop" | "tool_calls"));
    let well = record.status < 400 && record.error.is_none() && content.unread.is_none();
    (well && by_itself && answered).then_some(content)
}

fn answer(content: &Content) -> Value {
    let answer = &content.answer;
    let mut message = json!({ "role": "assistant", "content": answer.content });
    if !answer.tool_calls.is_empty() {
        let calls = answer.tool_calls.iter().map(|call| {
            let function = json!({ "name": call.name, "arguments": call.arguments });
            json!({ "id": call.id, "type": "function", "function": function })
        });
        message["tool_calls"] = calls.collect();
    }
    message
}

fn turns(message: &Message) -> Vec<Value> {
    let from = match message.role {
        Role::System => "system",
        Role::User => "human",
        Role::Assistant => "gpt",
        Role::Tool => "observation",
    };
    let text = message.content.text();
    let mut turns = Vec::new();
    if !text.is_empty() || message.tool_calls.is_empty() {
        turns.push(json!({ "from": from, "value": text }));
    }
    turns.extend(message.tool_calls.iter().map(call));
    turns
}

fn call(call: &crate::chat::ToolCall) -> Value {
    let arguments: Value = serde_json::from_str(&call.arguments)
        .unwrap_or_else(|_| Value::String(call.arguments.clone()));
    let value = json!({ "name": call.name, "arguments": arguments });
    json!({ "from": "function_call", "value": value.to_string() })
}
