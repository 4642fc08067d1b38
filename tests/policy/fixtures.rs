//! Requests to judge, as `tests/fixtures/policy/README.md` describes them.

use std::{collections::HashMap, path::PathBuf};

use rkgate::{
    chat,
    policy::{Class, Facts, Headers, Input, ModelFact, Outcome, Set},
    wire::openai,
};
use serde_json::{Value, json};

/// A request and what is to be known of it.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Value,
    pub(crate) class: Class,
    pub(crate) labels: Vec<String>,
}

/// The fixtures of a file, e.g. `captures`.
pub(crate) fn read(file: &str) -> Vec<Fixture> {
    let tools: Value = serde_json::from_str(&text("tools.json")).unwrap();
    let lines = text(&format!("{file}.jsonl"));
    let lines: Vec<&str> = lines.lines().collect();
    lines
        .iter()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let name = line["name"].as_str().unwrap().to_owned();
            let mut body = line["request"].clone();
            if let Some(set) = line["tools"].as_str() {
                body["tools"] = tool_set(&tools, set);
            }
            let headers = line["headers"].as_object().into_iter().flatten();
            let labels = line["labels"].as_array().into_iter().flatten();
            Fixture {
                name,
                headers: headers
                    .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                    .collect(),
                body,
                class: line["class"]
                    .as_str()
                    .map_or(Class::Chat, |class| Class::parse(class).unwrap()),
                labels: labels
                    .map(|label| label.as_str().unwrap().to_owned())
                    .collect(),
            }
        })
        .collect()
}

fn tool_set(tools: &Value, set: &str) -> Value {
    let definitions = tools["definitions"].as_array().unwrap();
    let names = tools["sets"][set].as_array().unwrap();
    let definition = |name: &Value| {
        let found = definitions
            .iter()
            .find(|tool| tool["function"]["name"] == *name);
        found.unwrap().clone()
    };
    names.iter().map(definition).collect()
}

fn text(file: &str) -> String {
    std::fs::read_to_string(directory().join("fixtures/policy").join(file)).unwrap()
}

/// The directory of the tests.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

impl Fixture {
    pub(crate) fn request(&self) -> chat::Request {
        openai::decode_chat(self.body.to_string().as_bytes()).unwrap()
    }

    /// The same with a header.
    pub(crate) fn with_header(&self, name: &str, value: &str) -> Self {
        let mut fixture = self.clone();
        fixture.headers.insert(name.to_owned(), value.to_owned());
        fixture
    }

    /// The same with a preset's system prompt in front, as Open WebUI puts it: before what stands there already.
    pub(crate) fn with_system_prompt(&self, prompt: &str) -> Self {
        let mut fixture = self.clone();
        let messages = fixture.body["messages"].as_array_mut().unwrap();
        match messages
            .first_mut()
            .filter(|message| message["role"] == "system")
        {
            Some(system) => {
                let text = format!("{prompt}\n{}", system["content"].as_str().unwrap());
                system["content"] = text.into();
            }
            None => messages.insert(0, json!({"role": "system", "content": prompt})),
        }
        fixture
    }

    /// The text of the last user message.
    pub(crate) fn last_user(&self) -> String {
        last_user(&self.request())
    }

    pub(crate) fn decide(&self, set: &Set, facts: &Facts) -> Outcome {
        let look_up = |name: &str| self.headers.get(name).map(String::as_str);
        set.decide(&Input {
            request: &self.request(),
            headers: Headers::new(&look_up),
            facts,
        })
    }
}

/// The text of the last user message.
pub(crate) fn last_user(request: &chat::Request) -> String {
    let mut messages = request.messages.iter().rev();
    let message = messages.find(|message| message.role == chat::Role::User);
    message
        .map(|message| message.content.text().into_owned())
        .unwrap_or_default()
}

/// Only this model, whatever a request calls it.
pub(crate) fn one_model(id: &str, family: &str, fixture: &Fixture) -> Facts {
    Facts {
        models: vec![ModelFact {
            switchable: true,
            id: id.into(),
            aliases: vec![fixture.body["model"].as_str().unwrap().to_owned()],
            family: family.to_owned(),
            context: Some(4096),
            vision: true,
            thinking: true,
            upstream: None,
            chars_per_token: ModelFact::CHARS_PER_TOKEN,
        }],
    }
}
