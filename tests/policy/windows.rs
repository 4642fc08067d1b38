//! Every captured chat fits a model with 4096 tokens, and what the person said last stays as it is.

use std::path::Path;

use minijinja::{Environment, syntax::SyntaxConfig, value::Serde};
use rkgate::{
    chat::{Content, Message, Part, Request, Role, ToolCall},
    policy::{Class, Facts},
};
use rkllm_sim::shipped as shipped_models;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::{
    fixtures::{self, Fixture, last_user},
    shipped,
};

const CONTEXT: usize = 4096;
/// What must be left for the answer.
const ANSWER: usize = 512;
/// What an image takes in Qwen3-VL at the resolution of its encoder.
const IMAGE: usize = 196;

/// The model's own tokenizer and chat template: prompts are counted as the engine counts them.
struct Counter {
    tokenizer: Tokenizer,
    templates: Environment<'static>,
}

impl Counter {
    /// That of a simulated model, by the beginning of its file's name.
    fn of(name: &str) -> Self {
        let models = tempfile::tempdir().unwrap();
        shipped_models::install(models.path()).unwrap();
        let mut all = shipped_models::MODELS.iter();
        let model = all.find(|model| model.file_stem.starts_with(name)).unwrap();
        Self::open(&models.path().join(model.file_stem))
    }

    fn open(dir: &Path) -> Self {
        let mut templates = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        templates.set_syntax(syntax.unwrap());
        templates.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let template = std::fs::read_to_string(dir.join("chat_template.jinja")).unwrap();
        templates.add_template_owned("chat", template).unwrap();
        Self {
            tokenizer: Tokenizer::from_file(dir.join("tokenizer.json")).unwrap(),
            templates,
        }
    }

    fn tokens(&self, request: &Request) -> usize {
        let messages: Vec<Value> = request.messages.iter().map(message).collect();
        let mut context = json!({"messages": messages, "add_generation_prompt": true});
        if !request.tools.is_empty() {
            context["tools"] = request
                .tools
                .iter()
                .map(|tool| tool.definition.clone())
                .collect();
        }
        let prompt = self
            .templates
            .get_template("chat")
            .unwrap()
            .render(Serde(context))
            .unwrap();
        self.tokenizer.encode(prompt, false).unwrap().len()
    }
}

fn message(message: &Message) -> Value {
    let mut fields = json!({"role": message.role.as_str(), "content": message.content.text()});
    if let Some(reasoning) = &message.reasoning {
        fields["reasoning_content"] = reasoning.as_str().into();
    }
    if !message.tool_calls.is_empty() {
        let call = |call: &ToolCall| {
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
            json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
        };
        fields["tool_calls"] = message.tool_calls.iter().map(call).collect();
    }
    fields
}

fn images(request: &Request) -> usize {
    let parts = request
        .messages
        .iter()
        .map(|message| match &message.content {
            Content::Text(_) => 0,
            Content::Parts(parts) => parts
                .iter()
                .filter(|part| matches!(part, Part::Image(_)))
                .count(),
        });
    parts.sum()
}

/// What a person typed: found passages and the code interpreter's instructions are Open WebUI's words around it. A
/// switch is obeyed and removed.
fn question(text: &str, switches: bool) -> String {
    let text = text.rsplit("</context>").next().unwrap();
    let text = text.split("\n\n#### Code Interpreter").next().unwrap();
    let switch = if switches { "/no_think" } else { "\0" };
    text.replace(switch, "").trim().to_owned()
}

/// The simulated Qwen3-1.7B is the common conversion.
#[test]
fn the_model_of_the_first_steps_has_4096_tokens() {
    let mut models = shipped_models::MODELS.iter();
    let model = models
        .find(|model| model.file_stem == "Qwen3-1.7B-rk3588-w8a8")
        .unwrap();
    assert_eq!(model.context as usize, CONTEXT);
}

#[test]
fn every_captured_chat_fits_qwen3() {
    every_captured_chat_fits("Qwen3-1.7B", "qwen3-1.7b", "qwen3");
}

#[test]
fn every_captured_chat_fits_phi() {
    every_captured_chat_fits("Phi-3", "phi-3-mini", "phi-3");
}

#[test]
fn every_captured_chat_fits_gemma() {
    every_captured_chat_fits("Gemma-3-4B", "gemma-3-4b", "gemma-3");
}

#[test]
fn every_captured_chat_fits_minicpm() {
    every_captured_chat_fits("MiniCPM4", "minicpm4-0.5b", "minicpm4");
}

/// A context of 4096 tokens, by the model's own template and tokenizer.
fn every_captured_chat_fits(file: &str, id: &str, family: &str) {
    let counter = Counter::of(file);
    let chats: Vec<Fixture> = fixtures::read("captures")
        .into_iter()
        .filter(|fixture| fixture.class == Class::Chat)
        .collect();
    assert!(chats.len() > 30);
    let mut too_long = Vec::new();
    for fixture in chats {
        let facts = fixtures::one_model(id, family, &fixture);
        let outcome = fixture.decide(&shipped(), &facts);
        let request = outcome.request.unwrap_or_else(|| fixture.request());
        let tokens = counter.tokens(&request) + IMAGE * images(&request);
        if tokens + ANSWER > CONTEXT {
            too_long.push(format!("{}: {tokens} tokens", fixture.name));
        }
        let (asked, left) = (fixture.last_user(), last_user(&request));
        let is_qwen = family.starts_with("qwen3");
        let typed = question(&asked, is_qwen);
        assert!(left.contains(&typed), "{}: {left}", fixture.name);
        let reasoning = request
            .messages
            .iter()
            .filter(|message| message.role == Role::Assistant);
        assert!(
            reasoning.clone().all(|message| message.reasoning.is_none()),
            "{}",
            fixture.name
        );
    }
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

/// Without the rules they do not fit: the tools alone are longer than the context.
#[test]
fn the_tools_of_open_webui_are_longer_than_that_context() {
    let counter = Counter::of("Qwen3-1.7B");
    let chat = fixtures::read("captures")
        .into_iter()
        .find(|fixture| fixture.name.starts_with("0030"))
        .unwrap();
    assert!(counter.tokens(&chat.request()) > CONTEXT);
}

/// Chats about prompts are left alone but for their tools and system prompts.
#[test]
fn what_was_said_last_is_left_as_it_is_in_chats_about_prompts() {
    for fixture in fixtures::read("chats")
        .into_iter()
        .filter(|fixture| fixture.name.starts_with("pastes-"))
    {
        let outcome = fixture.decide(&shipped(), &Facts::example());
        let request = outcome.request.unwrap_or_else(|| fixture.request());
        assert_eq!(last_user(&request), fixture.last_user(), "{}", fixture.name);
    }
}
