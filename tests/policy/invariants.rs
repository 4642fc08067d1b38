//! What holds for every conversation, with all shipped rules and the settings of several models.

use std::sync::OnceLock;

use proptest::prelude::*;
use rkgate::{
    chat::{Message, Request, Role},
    policy::{Facts, Headers, Input, ModelFact, Platform, Set, shipped},
    wire::openai,
};
use serde_json::{Value, json};

use crate::{fixtures, shipped as large_board, trim::Trim};

/// A model, its family and its context in tokens.
const MODELS: [(&str, &str, u32); 5] = [
    ("qwen3-1.7b", "qwen3", 4096),
    ("qwen3-4b", "qwen3", 16_384),
    ("qwen3-vl-2b", "qwen3-vl", 4096),
    ("tinyllama-1.1b", "tinyllama", 2048),
    ("somebody-elses-70b", "", 0),
];

fn facts((id, family, context): (&str, &str, u32)) -> Facts {
    Facts {
        models: vec![ModelFact {
            id: id.into(),
            family: family.to_owned(),
            context: (context > 0).then_some(context),
            thinking: family == "qwen3",
            vision: family.ends_with("vl"),
            ..Facts::example().models.remove(0)
        }],
    }
}

fn small_board() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| {
        let compiled = Set::compile(&shipped::files(), Platform::Rk3576);
        compiled.unwrap_or_else(|report| panic!("{report}")).set
    })
}

fn request(model: &str, messages: &[Value], tools: Option<&Value>) -> Request {
    let mut body = json!({"model": model, "stream": true, "messages": messages});
    if let Some(tools) = tools {
        body["tools"] = tools.clone();
    }
    openai::decode_chat(body.to_string().as_bytes()).unwrap()
}

/// The request as the model sees it. The header keeps the class where rewriting takes the words away that tell it.
fn rewritten(set: &Set, request: &Request, facts: &Facts, task: Option<&str>) -> Request {
    let look_up = |name: &str| task.filter(|_| name == "x-openwebui-task");
    let outcome = set.decide(&Input {
        request,
        headers: Headers::new(&look_up),
        facts,
    });
    outcome.request.unwrap_or_else(|| request.clone())
}

/// Tools as Open WebUI offers them, and a few of somebody's own.
fn tools() -> Value {
    static TOOLS: OnceLock<Value> = OnceLock::new();
    TOOLS.get_or_init(read_tools).clone()
}

fn read_tools() -> Value {
    let own = |name: &str| {
        json!({"type": "function", "function": {"name": name, "description": "Does it.",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}})
    };
    let chat = fixtures::read("captures")
        .into_iter()
        .find(|fixture| fixture.name.starts_with("0030"));
    let mut tools = chat.unwrap().body["tools"].take();
    let list = tools.as_array_mut().unwrap();
    list.extend(["roll_dice", "water_plants"].map(own));
    tools
}

/// What people, models and clients write.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "Why is the sky blue? ",
        "Search my notes for the recipe. ",
        "Remind me tomorrow. ",
        "Wie spät ist es? ",
        "Der Wind weht über das Moor, und niemand weiß, woher. ",
        "热泵把室外空气中的热量带到室内。",
        "Тепловой насос переносит тепло. ",
        "/no_think ",
        "\n/think\n",
        "<think>\nHm, well.\n</think>\n\n",
        "<think>unclosed ",
        "```rust\nfn main() {}\n```\n",
        "> quoted\n",
        "\n\n",
        "{\"title\": \"x\"} ",
        "Be concise. ",
        "😀🎉 ",
        "16:23:21 ",
    ]);
    (prop::collection::vec(piece, 1..8), 1_usize..30)
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

/// Where memories stand, which Open WebUI looks up anew for each question, they come and go with it.
const MEMORIES: &str = "You are Bob.\n<memory_context>\n- Keeps bees.\n</memory_context>";

fn system() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(vec![
        "You are Bob.".to_owned(),
        "/no_think".to_owned(),
        "You are Bob. The current time is 16:23:21 on 2026-11-22. Be concise.".to_owned(),
        "You are an incredibly helpful assistant with a wealth of knowledge. ".repeat(12)
            + "Never lie. Answer in Dutch.",
        MEMORIES.to_owned(),
    ]))
}

/// Questions, answers, and answers that call tools. Nobody speaks twice in a row.
fn conversation() -> impl Strategy<Value = Vec<Value>> {
    let turn = (text(), text(), prop::collection::vec(text(), 0..3));
    let turns = prop::collection::vec(turn, 1..14);
    (system(), turns).prop_map(|(system, turns)| {
        let mut messages = Vec::new();
        messages.extend(system.map(|text| json!({"role": "system", "content": text})));
        for (number, (asked, answered, results)) in turns.into_iter().enumerate() {
            messages.push(json!({"role": "user", "content": format!("{number}. {asked} [{number}]")}));
            for (call, result) in results.into_iter().enumerate() {
                let id = format!("call_{number}_{call}");
                messages.push(json!({"role": "assistant", "content": "", "tool_calls": [
                    {"id": id, "type": "function", "function": {"name": "search_notes", "arguments": "{\"query\":\"a\"}"}}]}));
                messages.push(json!({"role": "tool", "tool_call_id": id, "content": result}));
            }
            messages.push(json!({"role": "assistant", "content": answered}));
        }
        messages
    })
}

/// The places where a client asks for an answer: behind a question or the result of a tool.
fn asking_places(messages: &[Value]) -> impl Iterator<Item = usize> + '_ {
    (1..=messages.len())
        .filter(|end| matches!(messages[end - 1]["role"].as_str(), Some("user" | "tool")))
}

fn last_user(request: &Request) -> Option<&Message> {
    let mut messages = request.messages.iter().rev();
    messages.find(|message| message.role == Role::User)
}

/// No result of a tool stands without its call.
fn results_have_calls(request: &Request) -> Result<(), TestCaseError> {
    let mut open: Vec<&str> = Vec::new();
    for message in &request.messages {
        match &message.tool_call_id {
            Some(id) => prop_assert!(open.contains(&id.as_str()), "{id} lost its call"),
            None => {
                let calls = message.tool_calls.iter();
                open = calls.map(|call| call.id.as_str()).collect();
            }
        }
    }
    let offered: Vec<&str> = request
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    let calls = request
        .messages
        .iter()
        .flat_map(|message| &message.tool_calls);
    for call in calls {
        prop_assert!(offered.is_empty() || offered.contains(&call.name.as_str()));
    }
    Ok(())
}

/// A conversation in one line a message, for people.
fn outline(request: &Request) -> String {
    let line = |message: &Message| {
        let text = message.content.text();
        let chars = text.chars().count();
        let start: String = text.chars().take(24).collect();
        format!("{} {chars} {start:?}", message.role.as_str())
    };
    let mut lines: Vec<String> = request.messages.iter().map(line).collect();
    let tools = request.tools.iter().map(|tool| tool.definition.to_string());
    lines.extend(tools.map(|tool| tool.chars().take(60).collect()));
    lines.join("\n")
}

/// The words of a question that rules do not take away.
fn typed(text: &str) -> String {
    let words = ["/no_think", "/think"];
    let text = words
        .iter()
        .fold(text.to_owned(), |text, word| text.replace(word, " "));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn rewriting_twice_changes_nothing_more(
        messages in conversation(),
        model in prop::sample::select(MODELS.to_vec()),
        with_tools in any::<bool>(),
    ) {
        let facts = facts(model);
        let tools = with_tools.then(tools);
        let end = asking_places(&messages).last().unwrap();
        let request = request(model.0, &messages[..end], tools.as_ref());
        for set in [&*large_board(), small_board()] {
            let once = rewritten(set, &request, &facts, Some(""));
            let twice = rewritten(set, &once, &facts, Some(""));
            prop_assert!(twice == once, "{}\nbecame\n{}", outline(&once), outline(&twice));
        }
    }

    #[test]
    fn the_question_stays_and_results_keep_their_calls(
        messages in conversation(),
        model in prop::sample::select(MODELS.to_vec()),
        with_tools in any::<bool>(),
    ) {
        let facts = facts(model);
        let tools = with_tools.then(tools);
        for end in asking_places(&messages) {
            let request = request(model.0, &messages[..end], tools.as_ref());
            let rewritten = rewritten(&large_board(), &request, &facts, None);
            results_have_calls(&rewritten)?;
            let (asked, left) = (last_user(&request).unwrap(), last_user(&rewritten).unwrap());
            let (asked, left) = (typed(&asked.content.text()), typed(&left.content.text()));
            prop_assert!(left.ends_with(&asked), "{asked:?} became {left:?}");
            // What was said last is still said last.
            let role = |request: &Request| request.messages.last().map(|message| message.role);
            prop_assert_eq!(role(&rewritten), role(&request));
        }
    }

    /// What was sent once comes out the same in the next turn, so that the model need not read it again, but where the
    /// window moves: see [`Trim`].
    #[test]
    fn a_conversation_that_only_grew_only_grows(
        messages in conversation(),
        model in prop::sample::select(MODELS.to_vec()),
    ) {
        prop_assume!(messages[0]["content"] != MEMORIES);
        let facts = facts(model);
        let mut before: Option<Request> = None;
        let mut asked_at = 0;
        for end in asking_places(&messages) {
            let request = request(model.0, &messages[..end], None);
            let now = rewritten(&large_board(), &request, &facts, None);
            if let Some(before) = before.filter(|before| !now.messages.starts_with(&before.messages)) {
                let trim = Trim::between(&before, &now, end - asked_at);
                prop_assert!(trim.is_ok(), "{trim:?}: {}\nbecame\n{}", outline(&before), outline(&now));
            }
            asked_at = end;
            before = Some(now);
        }
    }

    /// By the policy of the board alone: the context is long enough for everything.
    #[test]
    fn the_window_moves_at_most_once_in_the_length_between_its_marks(
        lengths in prop::collection::vec((20_usize..1500, 20_usize..2900), 10..60),
    ) {
        const WINDOW: usize = 20_000;
        const KEEP: usize = 10_000;
        let facts = facts(("qwen3-1.7b", "qwen3", 1_000_000));
        let (mut messages, mut said) = (vec![json!({"role": "system", "content": "You are Bob."})], 0);
        let (mut before, mut moved_at): (Option<Request>, Option<usize>) = (None, None);
        for (number, (asked, answered)) in lengths.into_iter().enumerate() {
            // Few tokens for its length: the board's limit of tokens is not what is tried here.
            let fill = |kind: &str, chars: usize| -> String {
                let name = format!("{kind}{number} ");
                let words = name.chars().chain("and so on and on ".chars().cycle());
                words.take(chars - 1).chain(['.']).collect()
            };
            messages.push(json!({"role": "user", "content": fill("q", asked)}));
            said += asked;
            let now = rewritten(&large_board(), &request("qwen3-1.7b", &messages, None), &facts, None);
            if before.is_some_and(|before| !now.messages.starts_with(&before.messages)) {
                if let Some(moved_at) = moved_at {
                    prop_assert!(said - moved_at >= WINDOW - KEEP, "moved at {moved_at} and {said}");
                }
                moved_at = Some(said);
            }
            before = Some(now);
            messages.push(json!({"role": "assistant", "content": fill("a", answered)}));
            said += answered;
        }
    }
}

/// Tasks too: the header says what they are when the words that told it are gone.
#[test]
fn captured_requests_are_rewritten_once() {
    for fixture in fixtures::read("captures") {
        for (id, family, _) in MODELS {
            let facts = fixtures::one_model(id, family, &fixture);
            let task = fixture
                .class
                .as_str()
                .strip_prefix("task/")
                .unwrap_or_default();
            let once = rewritten(&large_board(), &fixture.request(), &facts, Some(task));
            let twice = rewritten(&large_board(), &once, &facts, Some(task));
            assert_eq!(twice, once, "{} for {id}", fixture.name);
        }
    }
}
