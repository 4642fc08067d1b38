//! From a request to the ids that the model reads.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    escape::{Author, END, Escaper, SAID},
    memory::{Chain, Memory, Said},
    template::Template,
    tokenizer::{ModelTokenizer, THINK},
};
use crate::chat::{
    Content, FinishReason, Message, Part, Passage, Request, Role, ToolCall, ToolChoice,
    answer::{Answer, AnswerOptions, Assembler, Thinking},
};

const END_OF_THINK: &str = "</think>";

/// A prompt as ids.
#[derive(Debug)]
pub(super) struct Rendered {
    /// The rendered text, with the marks of [`Escaper`].
    pub(super) text: String,
    /// What the model reads.
    pub(super) ids: Vec<u32>,
    /// Whether the prompt ends inside a think block.
    pub(super) thinking_opened: bool,
    /// With what its answer is to be kept; `None` where that cannot be put into a later prompt.
    pub(super) awaited: Option<Awaited>,
}

/// Renders a conversation by the chat template and tokenises it; answers that the model gave before stand in it as the
/// model said them.
///
/// If the last message is the model's, the prompt ends within it, so that the model continues it.
///
/// # Errors
/// The template's complaint, or what in the request has no place in a prompt for this model.
pub(super) fn chat(
    tokenizer: &ModelTokenizer,
    template: &Template,
    request: &Request,
    memory: &mut Memory,
) -> Result<Rendered, String> {
    let last = request.messages.last();
    let continued = last.filter(|last| last.role == Role::Assistant && last.tool_calls.is_empty());
    let end = if continued.is_some() {
        Ending::Within
    } else {
        Ending::Question
    };
    let (said, chain) = recall(request, end, memory);
    let plain = || -> Result<_, String> {
        let text = render(tokenizer, template, request, &request.messages, &[], end)?;
        Ok((tokenizer.encode_prompt(&text)?, text))
    };
    let (mut ids, mut text) = match splice(tokenizer, template, request, &said, end) {
        Some(spliced) => spliced,
        None => plain()?,
    };
    if end == Ending::Question && request.thinking == Some(true) && tokenizer.leaves_thinking_open {
        // The model would say it anyway, at the cost of two steps before the first word that anyone sees.
        let opening = format!("{THINK}\n");
        ids.extend(tokenizer.encode_prompt(&opening)?);
        text.push_str(&opening);
    }
    let thinking_opened = match continued {
        Some(last) => ends_thinking(&last.content.text()),
        None => text.trim_end().ends_with(THINK),
    };
    let awaited = match end {
        Ending::Question => {
            opened(tokenizer, template, request, &said, &text, &ids).map(|opened| Awaited {
                chain,
                opened,
                thinking: match request.thinking {
                    _ if thinking_opened => Thinking::Opened,
                    Some(false) => Thinking::Unexpected,
                    Some(true) | None => Thinking::Expected,
                },
                tools: request.tools.iter().map(|tool| tool.name.clone()).collect(),
            })
        }
        Ending::None | Ending::Within => None,
    };
    Ok(Rendered {
        ids,
        text,
        thinking_opened,
        awaited,
    })
}

/// What is known of an answer before it is there.
#[derive(Debug)]
pub(super) struct Awaited {
    /// The conversation before it.
    chain: Chain,
    /// What stands at its beginning in the prompt already, such as an empty think block.
    opened: Vec<u32>,
    thinking: Thinking,
    tools: Vec<String>,
}

impl Awaited {
    /// Keeps the answer, given its text and the ids that the model said.
    pub(super) fn keep(self, text: &str, ids: &[u32], ends: &BTreeSet<u32>, memory: &mut Memory) {
        let mut assembler = Assembler::new(AnswerOptions {
            thinking: self.thinking,
            tools: self.tools.clone(),
            ..AnswerOptions::default()
        });
        let mut events = Vec::new();
        assembler.push(text, 0, &mut events);
        assembler.finish(FinishReason::Stop, &mut events);
        let answer: Answer = events.into_iter().collect();
        let thought = !answer.reasoning.trim().is_empty();
        let message = spoken(answer.content, answer.tool_calls);
        self.keep_message(&message, thought, ids, ends, memory);
    }

    /// Keeps the answer, given as a later request tells it, and the ids that the model said.
    pub(super) fn keep_message(
        mut self,
        message: &Message,
        thought: bool,
        ids: &[u32],
        ends: &BTreeSet<u32>,
        memory: &mut Memory,
    ) {
        self.chain.add(message);
        let ids = match ids {
            [said @ .., end] if ends.contains(end) => said,
            said => said,
        };
        self.opened.extend_from_slice(ids);
        let ids = self.opened.into();
        memory.keep(&self.chain, Said { ids, thought });
    }
}

/// The answers in a request as the model said them, by message, and the whole conversation.
fn recall(request: &Request, end: Ending, memory: &mut Memory) -> (Vec<Option<Said>>, Chain) {
    let messages = &request.messages;
    let question = messages
        .iter()
        .rposition(|message| message.role == Role::User);
    let mut chain = Chain::default();
    let said = messages.iter().enumerate().map(|(index, message)| {
        chain.add(message);
        let continued = end == Ending::Within && index + 1 == messages.len();
        if message.role != Role::Assistant || continued {
            return None;
        }
        let stays = |said: &Said| !said.thought || question.is_none_or(|at| at < index);
        memory.recall(&chain).filter(stays)
    });
    (said.collect(), chain)
}

/// The prompt with these answers in it; `None` if there are none, or the template does not write each of them once.
fn splice(
    tokenizer: &ModelTokenizer,
    template: &Template,
    request: &Request,
    said: &[Option<Said>],
    end: Ending,
) -> Option<(Vec<u32>, String)> {
    let answers = || said.iter().flatten();
    let count = answers().count();
    if count == 0 {
        return None;
    }
    let marked = render(tokenizer, template, request, &request.messages, said, end).ok()?;
    if marked.matches(SAID).count() != count {
        return None;
    }
    let mut pieces = marked.split(SAID);
    let mut text = pieces.next()?.to_owned();
    let mut ids = tokenizer.encode_prompt(&text).ok()?;
    for (piece, answer) in pieces.zip(answers()) {
        ids.extend_from_slice(&answer.ids);
        ids.extend(tokenizer.encode_prompt(piece).ok()?);
        text.push_str(&tokenizer.decode(&answer.ids));
        text.push_str(piece);
    }
    Some((ids, text))
}

/// What stands at the beginning of the answer in the prompt already; `None` where the template writes the conversation
/// in another way once it is answered.
fn opened(
    tokenizer: &ModelTokenizer,
    template: &Template,
    request: &Request,
    said: &[Option<Said>],
    prompt: &str,
    ids: &[u32],
) -> Option<Vec<u32>> {
    let mut messages = request.messages.clone();
    messages.push(spoken(String::new(), Vec::new()));
    // Templates write the last message in a way of its own; an answer is never the last one again.
    messages.push(Message {
        role: Role::User,
        ..spoken(".".to_owned(), Vec::new())
    });
    let mut said = said.to_vec();
    said.push(Some(Said {
        ids: [].into(),
        thought: false,
    }));
    let answered = render(tokenizer, template, request, &messages, &said, Ending::None).ok()?;
    // Only the end is compared: answers before it stand in one of the texts and are marks in the other.
    let (before, _) = answered.rsplit_once(SAID)?;
    let header = before.rsplit(SAID).next()?;
    let at = prompt.rfind(header)?;
    let opened = tokenizer
        .encode_prompt(prompt.get(at + header.len()..)?)
        .ok()?;
    ids.ends_with(&opened).then_some(opened)
}

/// A message of the model.
fn spoken(content: String, tool_calls: Vec<ToolCall>) -> Message {
    Message {
        role: Role::Assistant,
        content: Content::Text(content),
        reasoning: None,
        tool_calls,
        tool_call_id: None,
        extra: Map::new(),
    }
}

/// The system messages with which a conversation begins.
pub(super) fn opening(request: &Request) -> &[Message] {
    let messages = &request.messages;
    let system = messages.iter().take_while(|it| it.role == Role::System);
    messages.get(..system.count()).unwrap_or_default()
}

/// The ids of another conversation with the same system messages and tools.
///
/// # Errors
/// As [`chat`].
pub(super) fn beginning(
    tokenizer: &ModelTokenizer,
    template: &Template,
    request: &Request,
) -> Result<Vec<u32>, String> {
    let mut messages = opening(request).to_vec();
    messages.push(Message {
        role: Role::User,
        ..spoken("\u{2026}".to_owned(), Vec::new())
    });
    let text = render(tokenizer, template, request, &messages, &[], Ending::None)?;
    tokenizer.encode_prompt(&text)
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
    let render =
        |messages: &[Message], end| render(tokenizer, template, request, messages, &[], end);
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

/// The text of a conversation by the chat template, with the marks of [`Escaper`], and [`SAID`] for each message that
/// is to stand as it was `said`.
fn render(
    tokenizer: &ModelTokenizer,
    template: &Template,
    request: &Request,
    conversation: &[Message],
    said: &[Option<Said>],
    ending: Ending,
) -> Result<String, String> {
    let escaper = &tokenizer.escaper;
    let mut messages = Vec::with_capacity(conversation.len());
    for (index, message) in conversation.iter().enumerate() {
        messages.push(match said.get(index) {
            Some(Some(_)) => json!({"role": Role::Assistant.as_str(), "content": SAID.to_string()}),
            Some(None) | None => template_message(message, escaper)?,
        });
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
