#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::json;

use super::*;
use crate::{
    chat::Request,
    policy::{Facts, ModelSettings, ToolLimits, matching::Glob},
    wire::openai,
};

/// A chat as Open WebUI 0.12.4 sends it, with the tools that it offers every time.
const OPEN_WEBUI: &str = include_str!("../../../tests/fixtures/openwebui/chat-native-tools.json");

fn request(turns: &[&str], more: Value) -> Request {
    let exchange: Value = serde_json::from_str(OPEN_WEBUI).unwrap();
    let mut body: Value = serde_json::from_str(exchange["body_raw"].as_str().unwrap()).unwrap();
    let mut messages = Vec::new();
    for (index, text) in turns.iter().enumerate() {
        messages.push(json!({"role": "user", "content": text}));
        if index + 1 < turns.len() {
            messages.push(json!({"role": "assistant", "content": "Well."}));
        }
    }
    body["messages"] = messages.into();
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    openai::decode_chat(body.to_string().as_bytes()).unwrap()
}

fn diet(request: &Request, max_tokens: u32, on_excess: Excess) -> Request {
    let facts = Facts::example();
    let settings = ModelSettings {
        tools: Some(ToolLimits {
            max_tokens,
            on_excess,
            builtin: vec![Glob::new("*_*")],
        }),
        ..ModelSettings::default()
    };
    let context = Context {
        original: request,
        labels: &[],
        model: facts.models.first(),
        settings: &settings,
    };
    let mut rewriter = Rewriter::new(request);
    apply(&mut rewriter, &context);
    rewriter.finish().unwrap_or_else(|| request.clone())
}

fn kept(turns: &[&str]) -> Vec<String> {
    let rewritten = diet(&request(turns, json!({})), 600, Excess::Prune);
    rewritten
        .tools
        .iter()
        .map(|tool| tool.name.clone())
        .collect()
}

#[test]
fn chats_that_need_no_tool_carry_none() {
    for plain in [
        "Hello, this is turn one.",
        "How do heat pumps work?",
        "Write a poem about the sea.",
        "What is the capital of France?",
        "Explain this Rust code to me: fn main() {}",
        "Wie funktioniert eine Wärmepumpe?",
    ] {
        assert_eq!(kept(&[plain]), [""; 0], "{plain}");
    }
}

#[test]
fn what_is_asked_for_is_kept() {
    for (asked, tool) in [
        (
            "Remind me to call the dentist tomorrow at nine",
            "create_calendar_event",
        ),
        ("What time is it?", "get_current_timestamp"),
        ("Search my notes for the recipe", "search_notes"),
        ("What do my notes say about otters?", "search_notes"),
        (
            "Remember that I like otters: save it to memory",
            "add_memory",
        ),
        ("Use view_chat please", "view_chat"),
        ("Which knowledge bases do I have?", "list_knowledge_bases"),
        (
            "Put the meeting on Friday into my calendar",
            "create_calendar_event",
        ),
        (
            "Delete the automation that posts the news",
            "delete_automation",
        ),
    ] {
        let kept = kept(&[asked]);
        assert!(kept.iter().any(|name| name == tool), "{asked}: {kept:?}");
    }
}

#[test]
fn they_fit_and_keep_their_order() {
    let all: Vec<String> = request(&["x"], json!({}))
        .tools
        .into_iter()
        .map(|tool| tool.name)
        .collect();
    let everything = "notes chats memories calendar automation knowledge files tasks timestamp";
    let request = request(&[everything], json!({}));
    let rewritten = diet(&request, 600, Excess::Prune);
    let facts = Facts::example();
    let settings = ModelSettings::default();
    let context = Context {
        original: &request,
        labels: &[],
        model: facts.models.first(),
        settings: &settings,
    };
    let total: u32 = rewritten
        .tools
        .iter()
        .map(|tool| tokens(&tool.definition, &context))
        .sum();
    assert!(total <= 600 && total > 300, "{total}");
    let places: Vec<usize> = rewritten
        .tools
        .iter()
        .map(|kept| all.iter().position(|name| *name == kept.name).unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(diet(&rewritten, 600, Excess::Prune), rewritten);
}

#[test]
fn a_plain_turn_changes_nothing() {
    let asked = "Search my notes for the recipe";
    assert_eq!(
        kept(&[asked]),
        kept(&[asked, "Thank you!", "And what is butter?"])
    );
}

#[test]
fn tools_in_use_stay() {
    let used = json!({"messages": [
        {"role": "user", "content": "compute"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "list_automations", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "[]"}]});
    for excess in [Excess::Prune, Excess::Drop] {
        let rewritten = diet(&request(&[], used.clone()), 10, excess);
        assert_eq!(rewritten.tools.len(), 1);
        assert_eq!(rewritten.tools[0].name, "list_automations");
        assert_eq!(diet(&rewritten, 10, excess), rewritten);
    }
}

#[test]
fn a_tool_that_must_be_called_stays() {
    let named = json!({"tool_choice": {"type": "function", "function": {"name": "view_note"}}});
    let rewritten = diet(&request(&["Hello"], named), 600, Excess::Drop);
    assert_eq!(
        rewritten
            .tools
            .iter()
            .map(|tool| tool.name.as_str())
            .collect::<Vec<_>>(),
        ["view_note"]
    );
    let rewritten = diet(
        &request(&["Hello"], json!({"tool_choice": "required"})),
        600,
        Excess::Prune,
    );
    assert!(rewritten.tools.len() > 2);
}

#[test]
fn what_fits_or_may_stay_is_left_alone() {
    let request = request(&["Hello"], json!({}));
    assert_eq!(diet(&request, 100_000, Excess::Drop), request);
    assert_eq!(diet(&request, 10, Excess::Keep), request);
}

/// A person switched web search on, or added a tool of their own: it is there without being named.
#[test]
fn what_was_chosen_for_the_chat_stays_as_far_as_it_fits() {
    let mut request = request(&["Who won yesterday?"], json!({}));
    for name in ["searchweb", "fetchurl"] {
        request.tools.push(Tool {
            name: name.to_owned(),
            definition: json!({"type": "function", "function": {"name": name, "description": "About the web.",
                "parameters": {"type": "object", "properties": {}}}}),
        });
    }
    let names = |max_tokens| -> Vec<String> {
        let rewritten = diet(&request, max_tokens, Excess::Prune);
        rewritten.tools.into_iter().map(|tool| tool.name).collect()
    };
    assert_eq!(names(600), ["searchweb", "fetchurl"]);
    assert_eq!(names(60), ["searchweb"]);
}

/// Open WebUI offers `list_knowledge` where somebody gave the model documents.
#[test]
fn what_goes_with_a_chosen_tool_is_chosen_too() {
    let mut request = request(&["How many days off do I get?"], json!({}));
    request.tools.retain(|tool| !tool.name.ends_with("_bases"));
    request.tools.insert(
        0,
        Tool {
            name: "listKnowledge".to_owned(),
            definition: json!({"type": "function", "function": {"name": "listKnowledge", "description": "Lists documents.",
                "parameters": {"type": "object", "properties": {}}}}),
        },
    );
    let rewritten = diet(&request, 600, Excess::Prune);
    let names: Vec<&str> = rewritten
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(names[0], "listKnowledge");
    assert!(names.contains(&"query_knowledge_files"), "{names:?}");
    assert!(
        names.iter().all(|name| name.contains("nowledge")),
        "{names:?}"
    );
}

#[test]
fn short_tools_keep_their_parameters() {
    let tool = Tool {
        name: "say".to_owned(),
        definition: json!({"type": "function", "function": {"name": "say",
            "description": format!("Says it.\n\n{}", "More words. ".repeat(30)),
            "parameters": {"type": "object", "required": ["description"], "properties": {
                "description": {"type": "string", "description": "a".repeat(200)}}}}}),
    };
    let short = shorten::tool(&tool);
    let function = &short.definition["function"];
    assert!(
        function["description"]
            .as_str()
            .unwrap()
            .starts_with("Says it. More words.")
    );
    assert!(function["description"].as_str().unwrap().len() <= 140);
    let parameter = &function["parameters"]["properties"]["description"];
    assert_eq!(parameter["type"], "string");
    assert!(parameter["description"].as_str().unwrap().len() <= 60);
    assert_eq!(shorten::tool(&short), short);
}
