//! What comes of rules and policies beyond recognition.

use serde_json::{Value, json};

use super::{decide, request, set};
use crate::{
    chat::Request,
    policy::{Class, Facts, Headers, Input, ModelFact, Outcome, Set, Stage, StepOutcome, Think},
};

fn outcome(set: &Set, body: &Value) -> Outcome {
    decide(set, &request(body), &[], &Facts::example())
}

fn hello() -> Value {
    json!({"stream": true, "messages": [{"role": "user", "content": "Hello"}]})
}

const POLICIES: &str = r#"
[[model]]
match = "qwen3-*"
profile = { chat = "think", "task/*" = "plain" }
max_tokens = { chat = 1000, "task/*" = 256 }
[profile.think]
thinking = true
twin = "plain"
temperature = 0.6
top_k = 20
[profile.plain]
thinking = false
twin = "think"
temperature = 0.7
[client_sampling]
temperature = "clamp 0.1..1.5"
top_k = ["floor 2 for qwen3*"]
top_p = "ignore"
[client_sampling.on."task/*"]
thinking = "ignore"
temperature = "ignore"
"#;

#[test]
fn values_of_clients_are_obeyed_clamped_or_ignored() {
    let set = set("", POLICIES);
    let mut body = hello();
    body["temperature"] = json!(9);
    body["top_k"] = json!(1);
    body["top_p"] = json!(0.1);
    body["min_p"] = json!(0.05);
    body["max_tokens"] = json!(5000);
    let decision = outcome(&set, &body).decision;
    assert_eq!(decision.profile.as_deref(), Some("think"));
    assert_eq!(decision.sampling.temperature, Some(1.5));
    assert_eq!(decision.sampling.top_k, Some(2));
    assert_eq!(decision.sampling.top_p, None);
    assert_eq!(decision.sampling.min_p, Some(0.05));
    assert_eq!(decision.max_tokens, Some(1000));
    body["max_tokens"] = json!(7);
    assert_eq!(outcome(&set, &body).decision.max_tokens, Some(7));
}

#[test]
fn a_floor_is_for_its_family_only() {
    let set = set("", POLICIES);
    let mut body = hello();
    body["top_k"] = json!(1);
    let mut facts = Facts::example();
    facts.models[0].family = "phi3".to_owned();
    let decision = decide(&set, &request(&body), &[], &facts).decision;
    assert_eq!(decision.sampling.top_k, Some(1));
}

#[test]
fn thinking_switched_off_takes_the_other_profile() {
    let set = set("", POLICIES);
    let mut body = hello();
    body["reasoning_effort"] = json!("none");
    let decision = outcome(&set, &body).decision;
    assert_eq!(
        (decision.profile.as_deref(), decision.thinking),
        (Some("plain"), Some(false))
    );
    assert_eq!(decision.sampling.temperature, Some(0.7));
}

#[test]
fn a_model_that_cannot_think_gets_the_plain_profile() {
    let set = set("", POLICIES);
    let mut facts = Facts::example();
    facts.models[0].thinking = false;
    let decision = decide(&set, &request(&hello()), &[], &facts).decision;
    assert_eq!(
        (decision.profile.as_deref(), decision.thinking),
        (Some("plain"), None)
    );
}

#[test]
fn tasks_may_ignore_what_a_preset_sends() {
    let rules = "[[classify]]\nid = \"header\"\nheaders = [\"x-task\"]";
    let set = set(rules, POLICIES);
    let mut body = hello();
    body["think"] = json!(true);
    body["temperature"] = json!(1.0);
    let decision = decide(
        &set,
        &request(&body),
        &[("x-task", "tags_generation")],
        &Facts::example(),
    )
    .decision;
    assert_eq!(decision.class, Class::Tags);
    assert_eq!(decision.thinking, Some(false));
    assert_eq!(decision.sampling.temperature, Some(0.7));
    assert_eq!(decision.max_tokens, Some(256));
}

fn models() -> Facts {
    let model = |id: &str, family: &str, vision: bool| ModelFact {
        switchable: true,
        id: id.into(),
        family: family.to_owned(),
        vision,
        ..Facts::example().models.remove(0)
    };
    Facts {
        models: vec![
            model("qwen3-1.7b", "qwen3", false),
            model("minicpm4-0.5b-rk3588", "minicpm4", false),
            model("qwen3-vl-2b", "qwen3-vl", true),
        ],
    }
}

#[test]
fn the_first_model_of_a_route_that_can_answer_is_taken() {
    let policies = r#"
[[route]]
id = "small"
when = { stream = true }
to = ["gemma*", "minicpm4-0.5b*", "qwen3-vl*"]
"#;
    let set = set("", policies);
    let routed = |body: &Value| decide(&set, &request(body), &[], &models()).decision.model;
    assert_eq!(&*routed(&hello()), "minicpm4-0.5b-rk3588");
    let image = json!({"stream": true, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}]});
    assert_eq!(&*routed(&image), "qwen3-vl-2b");
    let other = json!({"messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(&*routed(&other), "qwen3-1.7b");
    // Nothing of the route is there.
    assert_eq!(&*outcome(&set, &hello()).decision.model, "qwen3-1.7b");
}

#[test]
fn the_longest_glob_wins_and_like_fills_what_it_leaves_out() {
    let policies = r#"
[[model]]
match = "*"
context = 2048
profile = { "*" = "a" }
max_tokens = { "*" = 100, chat = 200 }
[[model]]
match = "qwen3-1.7b*"
like = "*"
max_tokens = { chat = 300 }
[[model]]
match = "qwen3*"
profile = { "*" = "b" }
[profile.a]
[profile.b]
"#;
    let set = set("", policies);
    let decision = outcome(&set, &hello()).decision;
    assert_eq!(
        (decision.profile.as_deref(), decision.max_tokens),
        (Some("a"), Some(300))
    );
    // A model of an odd name is known by its family.
    let mut facts = Facts::example();
    facts.models[0].id = "my-model".into();
    let mut body = hello();
    body["model"] = json!("my-model");
    let decision = decide(&set, &request(&body), &[], &facts).decision;
    assert_eq!(decision.profile.as_deref(), Some("b"));
}

const STRIP: &str = r#"
[[rewrite]]
id = "strip"
on = ["chat"]
op = "strip_block"
role = "assistant"
tags = "think"
"#;

fn thought() -> Request {
    request(&json!({"messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "<think>Hm</think>Hello!"},
        {"role": "user", "content": "Bye"},
    ]}))
}

#[test]
fn a_shadow_rule_shows_what_it_would_do_and_does_nothing() {
    let facts = Facts::example();
    let on = decide(&set(STRIP, ""), &thought(), &[], &facts);
    let StepOutcome::Applied { changes } = &on
        .trace
        .steps
        .iter()
        .find(|step| &*step.rule == "strip")
        .unwrap()
        .outcome
    else {
        panic!("not applied");
    };
    let shadow = decide(
        &set(&format!("{STRIP}mode = \"shadow\""), ""),
        &thought(),
        &[],
        &facts,
    );
    assert_eq!(shadow.request, None);
    let step = shadow
        .trace
        .steps
        .iter()
        .find(|step| &*step.rule == "strip")
        .unwrap();
    assert!(
        matches!(&step.outcome, StepOutcome::Shadow { changes: would, .. } if would == changes)
    );
    let off = decide(
        &set(&format!("{STRIP}mode = \"off\""), ""),
        &thought(),
        &[],
        &facts,
    );
    assert!(off.request.is_none() && off.trace.steps.iter().all(|step| &*step.rule != "strip"));
}

#[test]
fn only_an_explanation_says_why_not() {
    let set = set(STRIP, "");
    let request = request(&hello());
    let facts = Facts::example();
    let input = Input {
        request: &request,
        headers: Headers::new(&|_| None),
        facts: &facts,
    };
    let why = |outcome: &Outcome| {
        outcome.trace.steps.iter().any(|step| {
            step.stage == Stage::Rewrite && matches!(step.outcome, StepOutcome::Left { .. })
        })
    };
    let (decided, explained) = (set.decide(&input), set.explain(&input, None));
    assert!(!why(&decided) && why(&explained));
    assert_eq!(
        (decided.decision, decided.request),
        (explained.decision, explained.request)
    );
}

#[test]
fn the_most_particular_answer_rule_wins_key_by_key() {
    let rules = r#"
[[classify]]
id = "header"
headers = ["x-task"]
[[answer]]
id = "all"
think = "inline"
repetition = { min_chars = 40, times = 4 }
[[answer]]
id = "tasks"
on = ["task/*"]
think = "drop"
[[answer]]
id = "title"
on = ["task/title_generation"]
json = { key = "title" }
"#;
    let set = set(rules, "");
    let answer = |task: &str| {
        decide(
            &set,
            &request(&hello()),
            &[("x-task", task)],
            &Facts::example(),
        )
        .decision
        .answer
    };
    let title = answer("title_generation");
    assert_eq!(title.think, Some(Think::Drop));
    assert_eq!(&*title.json.unwrap().key, "title");
    assert!(title.repetition.is_some());
    assert_eq!(answer("").think, Some(Think::Inline));
}

#[test]
fn a_refused_request_is_not_rewritten() {
    let rules = format!(
        "{STRIP}[[deny]]\nid = \"short\"\nwhen = {{ min_turns = 3 }}\nmessage = \"Too long.\"\n"
    );
    let outcome = decide(&set(&rules, ""), &thought(), &[], &Facts::example());
    let deny = outcome.decision.deny.unwrap();
    assert_eq!((&*deny.by, deny.message.as_str()), ("short", "Too long."));
    assert_eq!(outcome.request, None);
}

#[test]
fn answers_are_shared_where_a_policy_says_so() {
    let policies = "[[cache]]\nid = \"all\"\non = [\"task/*\"]\nttl = \"0s\"\n\
        [[cache]]\nid = \"query\"\non = [\"task/query_generation\"]\nttl = \"2s\"\n";
    let set = set(
        "[[classify]]\nid = \"header\"\nheaders = [\"x-task\"]\n",
        policies,
    );
    let cache = |task: &str| {
        let request = request(&hello());
        let outcome = decide(&set, &request, &[("x-task", task)], &Facts::example());
        let steps = outcome.trace.steps.into_iter();
        let traced = steps.filter(|step| step.stage == Stage::Answer).count();
        let cache = outcome.decision.cache;
        (
            cache.map(|cache| (cache.by.to_string(), cache.ttl.as_secs())),
            traced,
        )
    };
    assert_eq!(
        cache("query_generation"),
        (Some(("query".to_owned(), 2)), 1)
    );
    assert_eq!(cache("title_generation"), (Some(("all".to_owned(), 0)), 1));
    assert_eq!(cache(""), (None, 0));
}
