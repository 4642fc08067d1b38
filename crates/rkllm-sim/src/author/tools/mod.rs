//! Functions: which one a request calls for, and what to say of its result.

use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, Form},
    arithmetic,
    chance::Chance,
    conversation::{Conversation, Role},
    json, words,
};

mod arguments;

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    description: String,
    parameters: Value,
}

impl Tool {
    /// Reads a definition, with or without the wrapper of type `function`.
    fn read(definition: &Value) -> Option<Self> {
        let function = definition.get("function").unwrap_or(definition);
        Some(Self {
            name: function.get("name")?.as_str()?.to_owned(),
            description: function
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            parameters: function.get("parameters").cloned().unwrap_or_default(),
        })
    }

    /// The words of its name that tell what it is about.
    fn subject(&self) -> Vec<String> {
        let parts = self.name.split(['_', '-', '.']).map(str::to_lowercase);
        parts
            .filter(|part| {
                !matches!(
                    part.as_str(),
                    "get" | "list" | "do" | "run" | "fetch" | "tool" | ""
                )
            })
            .collect()
    }
}

/// Functions defined one per line between `<tools>` tags.
pub(crate) fn offered(system: &str) -> Vec<Tool> {
    let Some((_, rest)) = system.split_once("<tools>") else {
        return Vec::new();
    };
    let listed = rest.split("</tools>").next().unwrap_or_default();
    let definitions = listed
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
    definitions
        .filter_map(|definition| Tool::read(&definition))
        .collect()
}

/// Calls an offered function if the question clearly asks for one.
pub(crate) fn call(conversation: &Conversation, _: &Chance) -> Option<Answer> {
    if conversation.tools.is_empty() {
        return None;
    }
    let question = conversation.question();
    let tool = conversation
        .tools
        .iter()
        .find(|tool| mentions(&question, &tool.name))
        .or_else(|| clear_match(&question, &conversation.tools))?;
    let arguments = arguments::guess(&tool.parameters, &question);
    let call = json!({"name": tool.name, "arguments": arguments});
    Some(Answer {
        form: Form::ToolCall,
        text: format!("<tool_call>\n{}\n</tool_call>", json::spaced(&call)),
    })
}

/// Whether the function's name stands in the question.
fn mentions(question: &str, name: &str) -> bool {
    words::words(question).any(|word| word == name)
}

/// The one function whose subject the question names completely, in a sentence that is an order or asks for it.
fn clear_match<'a>(question: &str, tools: &'a [Tool]) -> Option<&'a Tool> {
    let asked: Vec<String> = words::words(question).map(str::to_lowercase).collect();
    let matching = |tool: &&Tool| {
        let subject = tool.subject();
        // A single common word is too little to go by unless the function's description speaks of the question too.
        let described = words::overlap(
            &words::content_words(question),
            &words::content_words(&tool.description),
        );
        !subject.is_empty()
            && words::overlap(&subject, &asked) == subject.len()
            && subject.len() + described >= 3
    };
    tools
        .iter()
        .filter(matching)
        .max_by_key(|tool| tool.subject().len())
}

/// Chooses from the functions that a client lists in the system part, in the form it asks for.
pub(crate) fn select(system: &str, prompt: &str) -> Answer {
    let listed = system
        .split_once("Tools:")
        .map_or("", |(_, rest)| rest)
        .trim_start();
    let definitions = serde_json::Deserializer::from_str(listed)
        .into_iter::<Value>()
        .next()
        .and_then(Result::ok);
    let tools: Vec<Tool> = match definitions {
        Some(Value::Array(definitions)) => definitions.iter().filter_map(Tool::read).collect(),
        _ => Vec::new(),
    };
    let query = prompt
        .rsplit_once("Query:")
        .map_or(prompt, |(_, query)| query);
    let wanted = words::content_words(query);
    let score = |tool: &Tool| {
        let about = words::content_words(&format!(
            "{} {}",
            tool.subject().join(" "),
            tool.description
        ));
        words::overlap(&wanted, &about) + if mentions(query, &tool.name) { 10 } else { 0 }
    };
    let best = tools.iter().map(|tool| (score(tool), tool)).fold(
        None,
        |best: Option<(usize, &Tool)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => (next.0 > 0).then_some(next),
        },
    );
    let calls: Vec<Value> = best
        .map(|(_, tool)| json!({"name": tool.name, "parameters": arguments::guess(&tool.parameters, query)}))
        .into_iter()
        .collect();
    Answer::json(&json!({ "tool_calls": calls }))
}

/// Answers from what a function has given, if that is the last thing said.
pub(crate) fn report(conversation: &Conversation, _: &Chance) -> Option<Answer> {
    let last = conversation
        .turns
        .last()
        .filter(|turn| turn.role == Role::Tool)?;
    let results = last
        .text
        .split("<tool_response>")
        .filter_map(|part| part.split("</tool_response>").next());
    let told: Vec<String> = results
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(tell)
        .collect();
    Some(Answer::prose(if told.is_empty() {
        "The tool gave no result.".to_owned()
    } else {
        told.join("\n\n")
    }))
}

fn tell(result: &str) -> String {
    match serde_json::from_str::<Value>(result) {
        Ok(Value::Object(fields)) => tell_fields(&fields),
        Ok(Value::Array(items)) if items.is_empty() => "The tool found nothing.".to_owned(),
        Ok(Value::Array(items)) => {
            let points = items
                .iter()
                .take(10)
                .map(|item| format!("- {}", plain(item)));
            format!(
                "The tool found {} entries:\n\n{}",
                items.len(),
                points.collect::<Vec<_>>().join("\n")
            )
        }
        Ok(Value::Number(value)) => {
            format!(
                "The result is **{}**.",
                value
                    .as_f64()
                    .map_or_else(|| value.to_string(), arithmetic::number)
            )
        }
        _ => {
            let text = result.trim_matches('"');
            let end = if text.ends_with(['.', '!', '?']) {
                ""
            } else {
                "."
            };
            format!("{text}{end} That is what the tool reported.")
        }
    }
}

fn tell_fields(fields: &Map<String, Value>) -> String {
    if let Some(error) = fields.get("error").filter(|error| !error.is_null()) {
        return format!("The tool reported a problem: {}", plain(error));
    }
    if let Some(output) = fields.get("stdout").and_then(Value::as_str) {
        return format!(
            "The code ran and printed:\n\n```\n{}\n```",
            output.trim_end()
        );
    }
    let points = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| format!("- **{key}**: {}", plain(value)));
    format!(
        "Here is what I found:\n\n{}",
        points.collect::<Vec<_>>().join("\n")
    )
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| json::spaced(value), str::to_owned)
}

#[cfg(test)]
mod tests;
