//! Arguments of a function, guessed from a question by the function's JSON schema.

use serde_json::{Map, Value};

use crate::author::{interpreter, words};

/// The required arguments, and optional ones that the question spells out.
pub(super) fn guess(parameters: &Value, question: &str) -> Map<String, Value> {
    let mut numbers = words::numbers(question).into_iter();
    let mut quoted = quotations(question).into_iter();
    let mut arguments = Map::new();
    let Some(properties) = parameters.get("properties").and_then(Value::as_object) else {
        return arguments;
    };
    let required: Vec<&str> = match parameters.get("required").and_then(Value::as_array) {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    // Arguments in the schema's order take numbers and quotations in the question's order.
    for (name, schema) in properties {
        let wanted = required.contains(&name.as_str());
        let spelled_out = words::words(question).any(|word| word.eq_ignore_ascii_case(name));
        if !wanted && !spelled_out {
            continue;
        }
        let value = match kind(schema) {
            "integer" => numbers
                .next()
                .and_then(|number| number.parse::<i64>().ok())
                .map(Value::from),
            "number" => numbers
                .next()
                .and_then(|number| number.parse::<f64>().ok())
                .map(Value::from),
            "boolean" => Some(Value::Bool(true)),
            "array" => Some(Value::Array(
                quotations(question).into_iter().map(Value::from).collect(),
            )),
            "object" => Some(Value::Object(Map::new())),
            _ if name == "code" => Some(interpreter::program(question).into()),
            _ => Some(Value::String(
                quoted
                    .next()
                    .map_or_else(|| text(name, schema, question), str::to_owned),
            )),
        };
        // A number that the question lacks is what a small model invents; an optional one it leaves out.
        let value = value.or_else(|| wanted.then(|| Value::from(1)));
        if let Some(value) = value {
            arguments.insert(name.clone(), value);
        }
    }
    arguments
}

/// The type of a schema; of alternatives, the first that is not null.
fn kind(schema: &Value) -> &str {
    if let Some(kind) = schema.get("type").and_then(Value::as_str) {
        return kind;
    }
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    let mut kinds = alternatives
        .into_iter()
        .flatten()
        .filter_map(|schema| schema.get("type")?.as_str());
    kinds.find(|kind| *kind != "null").unwrap_or("string")
}

fn text(name: &str, schema: &Value, question: &str) -> String {
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let lower = question.to_lowercase();
        let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        let named = choices
            .iter()
            .find(|choice| lower.contains(&choice.to_lowercase()));
        return named
            .or(choices.first())
            .map_or_else(String::new, |choice| (*choice).to_owned());
    }
    let place = matches!(name, "city" | "location" | "place" | "country");
    let prepositions: &[&str] = if place {
        &[" in ", " for ", " at ", " of "]
    } else {
        &[" about ", " for ", " that ", ": "]
    };
    let behind = prepositions
        .iter()
        .find_map(|preposition| question.split_once(preposition).map(|(_, rest)| rest));
    let up_to_mark = |text: &str| {
        let text = text.split(['?', '!', '\n']).next().unwrap_or_default();
        text.trim().trim_end_matches('.').to_owned()
    };
    match behind {
        // A place is a name: the words with a capital.
        Some(rest) if place => {
            let name = rest
                .split_whitespace()
                .take_while(|word| word.starts_with(char::is_uppercase));
            up_to_mark(&name.collect::<Vec<_>>().join(" ").replace(',', ""))
        }
        Some(rest) => up_to_mark(rest),
        None if place => words::content_words(question)
            .last()
            .map(|word| words::capitalised(word))
            .unwrap_or_default(),
        None => words::topic(question, 6),
    }
}

/// Texts in double quotation marks or backquotes.
fn quotations(question: &str) -> Vec<&str> {
    let mark = if question.contains('"') { '"' } else { '`' };
    question.split(mark).skip(1).step_by(2).collect()
}
