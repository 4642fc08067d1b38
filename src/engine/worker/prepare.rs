//! From a request to the ids that the model reads.

use serde_json::{Map, Value, json};

use super::{
    escape::{Author, END, Escaper},
    template::Template,
    tokenizer::ModelTokenizer,
};
use crate::chat::{Content, Message, Part, Passage, Request, Role, ToolChoice};

const THINK: &str = "<think>";
const END_OF_THINK: &str = "</think>";

/// A prompt as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    /// The rendered text, with the marks of [`Escaper`].
    pub(super) text: String,
    /// What the model reads.
    pub(super) ids: Vec<u32>,
    /// Whether the prompt ends inside a think block.
    pub(super) thinking_opened: bool,
}

/// Renders a conversation by the chat template and tokenises it.
///
/// If the last message is the model's, the prompt ends within it, so that the model continues it.
///
/// # Errors
/// The template's complaint, or what in the request has no place in a prompt for this model.
pub(super) fn chat(
    tokenizer: &ModelTokenizer,
    template: &Template,
    request: &Request,
) -> Result<Rendered, String> {
    let last = request.messages.last();
    let continued = last.filter(|last| last.role == Role::Assistant && last.tool_calls.is_empty());
    let end = if continued.is_some() {
        Ending::Within
    } else {
        Ending::Question
    };
    let text = render(tokenizer, template, request, &request.messages, end)?;
    let thinking_opened = match continued {
        Some(last) => ends_thinking(&last.content.text()),
        None => text.trim_end().ends_with(THINK),
    };
    Ok(Rendered {
        ids: tokenizer.encode_prompt(&text)?,
        text,
        thinking_opened,
    })
}

/// The ids of an answer as the model will have written it behind the prompt of `request`, its end token included: what
/// the template makes of the answer in a later prompt, without what stood at the end of the earlier one already.
///
/// # Errors
/// The template's complaint, also where it writes the conversation before the answer in another way then.
pub(super) fn answer(
    tokenizer: &ModelTokenizer,
    template: &Template,
    request: &Request,
    answer: &Message,
) -> Result<Vec<u32>, String> {
    let mut answered = request.messages.clone();
    answered.push(answer.clone());
    let render = |messages: &[Message], end| render(tokenizer, template, request, messages, end);
    let before = render(&request.messages, Ending::None)?;
    let question = render(&request.messages, Ending::Question)?;
    let after = render(&answered, Ending::None)?;
    let (opened, turn) = question
        .strip_prefix(&before)
        .zip(after.strip_prefix(&before))
        .ok_or("the chat template writes a conversation in another way once it is answered")?;
    let mut ids = match turn.strip_prefix(opened) {
        Some(written) => tokenizer.encode_prompt(written)?,
        // The prompt ended with what the template leaves out later, such as an empty think block.
        None => {
            let opened = tokenizer.encode_prompt(opened)?;
            let turn = tokenizer.encode_prompt(turn)?;
            let common = opened.iter().zip(&turn).take_while(|(a, b)| a == b).count();
            turn.into_iter().skip(common).collect()
        }
    };
    if let Some(end) = ids.iter().rposition(|id| tokenizer.ends.contains(id)) {
        ids.truncate(end + 1);
    }
    Ok(ids)
}

/// How a rendered conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// With its last message.
    None,
    /// With the beginning of an answer.
    Question,
    /// Within its last message, which the model continues.
    Within,
}

/// The text of a conversation by the chat template, with the marks of [`Escaper`].
fn render(
    tokenizer: &ModelTokenizer,
    template: &Template,
    request: &Request,
    conversation: &[Message],
    ending: Ending,
) -> Result<String, String> {
    let escaper = &tokenizer.escaper;
    let mut messages = Vec::with_capacity(conversation.len());
    for message in conversation {
        messages.push(template_message(message, escaper)?);
    }
    if ending == Ending::Within
        && let Some(Value::String(content)) =
            messages.last_mut().and_then(|last| last.get_mut("content"))
    {
        content.truncate(content.trim_end().len());
        content.push(END);
    }

    let mut context = Map::new();
    context.insert("messages".to_owned(), Value::Array(messages));
    let tools = template_tools(request, escaper);
    if !tools.is_empty() {
        context.insert("tools".to_owned(), Value::Array(tools));
    }
    if let Some(thinking) = request.thinking {
        context.insert("enable_thinking".to_owned(), thinking.into());
    }
    let question = ending == Ending::Question;
    context.insert("add_generation_prompt".to_owned(), question.into());
    context.insert("bos_token".to_owned(), tokenizer.names.bos.clone().into());
    context.insert("eos_token".to_owned(), tokenizer.names.eos.clone().into());

    let mut rendered = template.render(&context)?;
    if ending == Ending::Within {
        let end = rendered
            .find(END)
            .ok_or("the model's chat template leaves out the final message to continue")?;
        rendered.truncate(end);
    }
    Ok(rendered)
}

/// The text of the last user message: all that the runtime's own template can take.
///
/// # Errors
/// Text, if there is none.
pub(super) fn last_user_message(request: &Request) -> Result<String, String> {
    let last = request
        .messages
        .iter()
        .rev()
        .find(|message| message.role == Role::User);
    let last = last.ok_or(
        "this model has no tokenizer.json, so that only a user message can be run; there is none",
    )?;
    refuse_images(&last.content)?;
    Ok(last.content.text().into_owned())
}

/// The ids of what an embedding is wanted of.
///
/// # Errors
/// Text, if there is nothing to read, or ids that the model does not know.
pub(super) fn passage(tokenizer: &ModelTokenizer, passage: Passage) -> Result<Vec<u32>, String> {
    let ids = match passage {
        Passage::Text(text) => {
            let escaped = tokenizer.escaper.escape(&text, Author::Client);
            tokenizer.encode_passage(&escaped)?
        }
        Passage::Tokens(ids) => match ids.iter().find(|id| !tokenizer.knows(**id)) {
            None => ids,
            Some(id) => {
                return Err(format!(
                    "the token {id} is not in this model's vocabulary; ids of another tokenizer mean nothing to it, \
                     send text instead"
                ));
            }
        },
    };
    if ids.is_empty() {
        return Err("an empty input has no embedding".to_owned());
    }
    Ok(ids)
}

fn ends_thinking(text: &str) -> bool {
    text.rfind(THINK)
        .is_some_and(|open| text.rfind(END_OF_THINK).is_none_or(|close| close < open))
}

fn refuse_images(content: &Content) -> Result<(), String> {
    match content {
        Content::Parts(parts) if parts.iter().any(|part| matches!(part, Part::Image(_))) => Err(
            "the request contains an image, but reading images needs a vision encoder, which this engine does not run; \
             remove the image or choose an upstream model that can see"
                .to_owned(),
        ),
        Content::Parts(_) | Content::Text(_) => Ok(()),
    }
}

fn template_message(message: &Message, escaper: &Escaper) -> Result<Value, String> {
    refuse_images(&message.content)?;
    let author = if message.role == Role::Assistant {
        Author::Model
    } else {
        Author::Client
    };
    let mut fields = Map::new();
    fields.insert("role".to_owned(), message.role.as_str().into());
    fields.insert(
        "content".to_owned(),
        escaper.escape(&message.content.text(), author).into(),
    );
    if let Some(reasoning) = &message.reasoning {
        fields.insert(
            "reasoning_content".to_owned(),
            escaper.escape(reasoning, Author::Client).into(),
        );
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            // Templates write the arguments with `tojson`; text would be quoted a second time.
            let arguments = serde_json::from_str::<Value>(&call.arguments)
                .ok()
                .filter(Value::is_object)
                .unwrap_or_else(|| Value::String(call.arguments.clone()));
            json!({
                "id": escaper.escape(&call.id, Author::Client),
                "type": "function",
                "function": {
                    "name": escaper.escape(&call.name, Author::Client),
                    "arguments": escape_value(&arguments, escaper),
                },
            })
        });
        fields.insert("tool_calls".to_owned(), Value::Array(calls.collect()));
    }
    if let Some(id) = &message.tool_call_id {
        fields.insert(
            "tool_call_id".to_owned(),
            escaper.escape(id, Author::Client).into(),
        );
    }
    if let Some(Value::String(name)) = message.extra.get("name") {
        fields.insert(
            "name".to_owned(),
            escaper.escape(name, Author::Client).into(),
        );
    }
    Ok(Value::Object(fields))
}

/// The tool definitions in their order, without those that `tool_choice` rules out.
fn template_tools(request: &Request, escaper: &Escaper) -> Vec<Value> {
    request
        .tools
        .iter()
        .filter(|tool| match &request.tool_choice {
            ToolChoice::Auto | ToolChoice::Required => true,
            ToolChoice::None => false,
            ToolChoice::Named(name) => tool.name == *name,
        })
        .map(|tool| escape_value(&tool.definition, escaper))
        .collect()
}

fn escape_value(value: &Value, escaper: &Escaper) -> Value {
    match value {
        Value::String(text) => Value::String(escaper.escape(text, Author::Client)),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| escape_value(item, escaper))
                .collect(),
        ),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| {
                    (
                        escaper.escape(key, Author::Client),
                        escape_value(value, escaper),
                    )
                })
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests;
