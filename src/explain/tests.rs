#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    engine::{ModelCard, catalog::Catalog},
    policy::{Class, Platform, Source, shipped},
};

fn set(rules: &str) -> Set {
    let files = [Source {
        path: "rules/a.toml".into(),
        text: format!("schema = 1\n{rules}"),
        is_policy: false,
        is_shipped: false,
    }];
    let compiled = Set::compile(&files, Platform::Rk3588);
    compiled.unwrap_or_else(|report| panic!("{report}")).set
}

fn request(body: &Value) -> chat::Request {
    openai::decode_chat(body.to_string().as_bytes()).unwrap()
}

fn chat_of(messages: Value) -> chat::Request {
    request(&json!({"model": "qwen3-1.7b", "think": false, "messages": messages}))
}

/// The simulator's models.
fn cards() -> &'static [ModelCard] {
    static MODELS: LazyLock<(TempDir, Catalog)> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        rkllm_sim::shipped::install(dir.path()).unwrap();
        let catalog = Catalog::scan(dir.path());
        (dir, catalog)
    });
    MODELS.1.models()
}

thread_local! {
    /// A tokenizer is read once per test.
    static MODELS: Models<'static> = Models::counting(cards());
}

fn facts() -> Facts {
    Facts {
        models: cards().iter().map(ModelFact::from).collect(),
    }
}

fn ask(set: &Set, request: &chat::Request, previous: Option<&chat::Request>) -> Explanation {
    let headers = Headers::new(&|_| None);
    let question = Question {
        set,
        facts: &facts(),
        request,
        headers,
        forced: None,
        previous: previous.map(|request| Turn { request, headers }),
    };
    MODELS.with(|models| explain(&question, models))
}

const FRANCE: &str = "What is the capital of France?";

fn two_turns() -> chat::Request {
    chat_of(json!([
        {"role": "system", "content": "You are a guide."},
        {"role": "user", "content": FRANCE},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And of Spain?"},
    ]))
}

#[test]
fn a_prompt_is_counted_by_the_models_own_tokenizer() {
    let set = set("");
    let explanation = ask(&set, &two_turns(), None);
    let prompt = &explanation.prompt;
    let reader = MODELS.with(|models| models.reader(facts().model("qwen3-1.7b")).unwrap());
    let read = reader.read(&two_turns()).unwrap();
    assert_eq!(prompt.tokens as usize, read.ids.len());
    assert!(prompt.exact && prompt.refused.is_none() && prompt.why_estimated.is_none());
    let text: String = prompt
        .pieces
        .iter()
        .map(|piece| piece.text.as_str())
        .collect();
    assert_eq!(text, reader.text(&read.ids));
    assert!(0 < prompt.system && prompt.system < prompt.tokens);
    assert_eq!(prompt.tools, 0);
    assert_eq!(
        prompt.left,
        prompt.context.map(|context| context - prompt.tokens)
    );
}

#[test]
fn where_no_tokenizer_is_at_hand_it_is_estimated_and_said() {
    let set = set("");
    let request = two_turns();
    let question = Question {
        set: &set,
        facts: &facts(),
        request: &request,
        headers: Headers::new(&|_| None),
        forced: None,
        previous: None,
    };
    let counted = MODELS.with(|models| explain(&question, models)).prompt;
    let estimated = explain(&question, &Models::estimating(cards()));
    let (prompt, reuse) = (estimated.prompt, estimated.reuse.unwrap());
    assert!(!prompt.exact && !reuse.exact);
    assert!(prompt.why_estimated.is_some());
    assert!(counted.tokens <= prompt.tokens && prompt.tokens < 2 * counted.tokens);
}

#[test]
fn a_conversation_that_only_grew_keeps_what_was_read() {
    let set = set("");
    let reuse = ask(&set, &two_turns(), None).reuse.unwrap();
    assert_eq!(reuse.previous, Previous::Derived);
    // Qwen3's template writes an empty think block before the answer, which stays.
    assert_eq!(reuse.differs, None);
    assert_eq!(Some(reuse.kept), reuse.unrewritten);

    let minicpm = |request: chat::Request| chat::Request {
        model: "minicpm4-0.5b".to_owned(),
        ..request
    };
    let reuse = ask(&set, &minicpm(two_turns()), None).reuse.unwrap();
    assert_eq!(
        reuse.differs, None,
        "its template writes every turn in the same way"
    );
    let before = minicpm(derive_previous(&two_turns()));
    let before = ask(&set, &before, None);
    assert!(
        reuse.kept.tokens > before.prompt.tokens,
        "the answer is kept, too"
    );
    assert_eq!(before.reuse, None, "nothing came before");
}

fn derive_previous(request: &chat::Request) -> chat::Request {
    reuse::derive(request).unwrap().0
}

#[test]
fn thinking_that_the_request_does_not_tell_is_not_kept() {
    let set = set("");
    let thinking = chat::Request {
        thinking: Some(true),
        ..two_turns()
    };
    let reuse = ask(&set, &thinking, None).reuse.unwrap();
    let before = ask(&set, &derive_previous(&thinking), None).prompt.tokens;
    // The prompt ended with "<think>" and a line break.
    assert_eq!(reuse.kept.tokens, before - 2);
    assert_eq!(reuse.differs.unwrap().place, "template");
}

#[test]
fn a_rule_that_changes_the_beginning_is_named() {
    let set = set(r#"
[[rewrite]]
id = "spanish"
on = ["chat"]
op = "append"
to = "system"
text = "Speak of tapas."
when = { last_user_has = [["spain"]] }
"#);
    let explanation = ask(&set, &two_turns(), None);
    let reuse = explanation.reuse.unwrap();
    let differs = reuse.differs.unwrap();
    assert_eq!(differs.place, "messages[0]");
    assert_eq!(
        differs.why,
        "the same message of the client came out differently"
    );
    let rules: Vec<&str> = differs.rules.iter().map(|by| by.rule.as_ref()).collect();
    assert_eq!(rules, ["spanish"]);
    assert_eq!(
        differs.rules[0].origin.as_ref().map(|origin| origin.line),
        Some(4)
    );
    assert!(differs.is.contains("Speak of tapas."), "{differs:?}");
    let unrewritten = reuse.unrewritten.unwrap();
    assert!(unrewritten.tokens > reuse.kept.tokens);
}

#[test]
fn what_the_client_itself_changed_is_blamed_on_no_rule() {
    let set = set("");
    let mut previous = derive_previous(&two_turns());
    previous.messages[0].content = chat::Content::Text("You are a cook.".to_owned());
    let reuse = ask(&set, &two_turns(), Some(&previous)).reuse.unwrap();
    assert_eq!(reuse.previous, Previous::Given);
    let differs = reuse.differs.unwrap();
    assert_eq!(
        (differs.place.as_str(), differs.rules.len()),
        ("messages[0]", 0)
    );
    assert!(differs.why.contains("client's own"), "{differs:?}");
}

#[test]
fn other_tools_or_another_model_are_said() {
    let set = set("");
    let tool = json!({"type": "function", "function": {"name": "now", "parameters": {}}});
    let mut with_tools = two_turns();
    with_tools.tools = request(&json!({
        "model": "m", "messages": [{"role": "user", "content": ""}], "tools": [tool],
    }))
    .tools;
    let previous = derive_previous(&two_turns());
    let differs = |request: &chat::Request, previous: &chat::Request| {
        ask(&set, request, Some(previous))
            .reuse
            .unwrap()
            .differs
            .unwrap()
    };
    assert_eq!(differs(&with_tools, &previous).place, "tools");
    let other = chat::Request {
        model: "qwen3-0.6b".to_owned(),
        ..previous
    };
    assert_eq!(differs(&two_turns(), &other).place, "model");
}

#[test]
fn values_tell_who_determined_them() {
    let files = [Source {
        path: "policies/a.toml".into(),
        text: r#"schema = 1
[[model]]
match = "*"
profile = { "*" = "p" }
max_tokens = { "*" = 100 }
[profile.p]
temperature = 0.5
top_p = 0.9
[client_sampling]
temperature = "clamp 0.1..0.8"
frequency_penalty = "ignore"
"#
        .to_owned(),
        is_policy: true,
        is_shipped: false,
    }];
    let set = Set::compile(&files, Platform::Rk3588).unwrap().set;
    let asked = request(&json!({
        "model": "qwen3-1.7b", "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 2, "top_k": 1, "frequency_penalty": 1, "max_tokens": 1000,
    }));
    let explanation = ask(&set, &asked, None);
    let told = |name: &str| {
        let value = explanation
            .sampling
            .iter()
            .find(|value| value.decided.name == name);
        let value = value.unwrap();
        (value.decided.value, value.decided.origin, value.used)
    };
    assert_eq!(
        told("temperature"),
        (Some(0.8), ValueOrigin::Clamped, Some(0.8))
    );
    assert_eq!(told("top_p"), (Some(0.9), ValueOrigin::Profile, Some(0.9)));
    // The engine never runs Qwen3 greedily.
    assert_eq!(told("top_k"), (Some(1.0), ValueOrigin::Client, Some(2.0)));
    assert_eq!(
        told("frequency_penalty"),
        (Some(0.0), ValueOrigin::Default, Some(0.0))
    );
    assert_eq!(told("min_p"), (None, ValueOrigin::Default, None));
    let limit = explanation.max_tokens;
    assert_eq!(
        (limit.value, limit.origin),
        (Some(100), ValueOrigin::Clamped)
    );
}

#[test]
fn an_older_runtime_uses_what_the_model_was_loaded_with() {
    let set = Set::compile(&shipped::files(), Platform::Rk3588)
        .unwrap()
        .set;
    // By its profile a task does not think, and this client wants a value of its own.
    let asked = request(&json!({
        "model": "qwen3-1.7b", "messages": [{"role": "user", "content": "Hi /no_think"}], "temperature": 0.25,
    }));
    let look_up = |_: &str| None;
    let facts = facts();
    let question = Question {
        set: &set,
        facts: &facts,
        request: &asked,
        headers: Headers::new(&look_up),
        forced: None,
        previous: None,
    };
    let models = || Models::estimating(cards());
    let used = |models: &Models<'_>| {
        let explanation = explain(&question, models);
        let values: Vec<_> = explanation
            .sampling
            .iter()
            .map(|value| value.used)
            .collect();
        (explanation.sampling_at_load, values[0], values[1])
    };
    let per_run = used(&models());
    assert_eq!(per_run, (None, Some(0.25), Some(0.8)));
    let at_load = used(&models().sampled_per_run(false));
    assert_eq!(at_load, (Some(Class::Chat), Some(0.6), Some(0.95)));
}

#[test]
fn a_forced_model_answers_whatever_the_routes_say() {
    let set = Set::compile(&shipped::files(), Platform::Rk3588)
        .unwrap()
        .set;
    let request = two_turns();
    let question = Question {
        set: &set,
        facts: &facts(),
        request: &request,
        headers: Headers::new(&|_| None),
        forced: Some("phi-3-mini"),
        previous: None,
    };
    let explanation = explain(&question, &Models::estimating(cards()));
    assert_eq!(&*explanation.decision.model, "phi-3-mini");
    assert_eq!(explanation.asked, "qwen3-1.7b");
}

static SHIPPED: LazyLock<Set> = LazyLock::new(|| {
    Set::compile(&shipped::files(), Platform::Rk3588)
        .unwrap()
        .set
});

fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("### Task:\nGenerate a concise title summarizing the chat history "),
        Just("\n<chat_history>\n"),
        Just("\n</chat_history>"),
        Just("<think>Hm</think>"),
        Just("/no_think "),
        Just("You are a helpful assistant. "),
        Just("Be concise.\n"),
        Just("A line of some words\n"),
        Just(""),
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_explanation_is_about_the_decision_and_its_difference_leads_from_before_to_after(
        texts in prop::collection::vec((0..4usize, words()), 1..9),
        stream in any::<bool>(),
        temperature in prop::option::of(0.0..3.0f64),
    ) {
        let roles = ["system", "user", "assistant", "user"];
        let messages: Vec<_> = texts
            .iter()
            .map(|(role, text)| json!({"role": roles[*role], "content": text}))
            .collect();
        let request = request(&json!({
            "model": "qwen3-1.7b", "stream": stream, "messages": messages, "temperature": temperature,
        }));
        let facts = Facts::example();
        let question = Question {
            set: &SHIPPED,
            facts: &facts,
            request: &request,
            headers: Headers::new(&|_| None),
            forced: None,
            previous: None,
        };
        let explanation = explain(&question, &Models::estimating(cards()));
        let input = Input { request: &request, headers: Headers::new(&|_| None), facts: &facts };
        let decided = SHIPPED.decide(&input);
        prop_assert_eq!(&explanation.decision, &decided.decision);
        prop_assert_eq!(explanation.rewritten, decided.request.is_some());
        let told = explanation.trace.steps.iter().filter(|step| {
            !matches!(step.outcome, StepOutcome::NotMatched { .. } | StepOutcome::Left { .. })
        });
        prop_assert!(told.eq(&decided.trace.steps));

        let after = decided.request.as_ref().unwrap_or(&request);
        let differences = &explanation.difference.messages;
        let old: Vec<usize> = differences.iter().filter_map(|message| message.before).collect();
        let new: Vec<usize> = differences.iter().filter_map(|message| message.after).collect();
        prop_assert_eq!(old, (0..request.messages.len()).collect::<Vec<_>>());
        prop_assert_eq!(new, (0..after.messages.len()).collect::<Vec<_>>());
        for message in differences.iter().filter(|message| !message.lines.is_empty()) {
            let side = |gone: LineKind| {
                let lines = message.lines.iter().filter(|line| line.kind != gone);
                let lines = lines.map(|line| line.words.iter().map(|words| words.text.as_str()).collect::<String>());
                lines.collect::<Vec<_>>().join("\n")
            };
            let text = |messages: &[chat::Message], index: Option<usize>| {
                let text = index.map(|index| difference::transcript(&messages[index])).unwrap_or_default();
                text.strip_suffix('\n').map(str::to_owned).unwrap_or(text)
            };
            prop_assert_eq!(side(LineKind::Added), text(&request.messages, message.before));
            prop_assert_eq!(side(LineKind::Removed), text(&after.messages, message.after));
        }
    }
}
