//! Which sampling values are used, whatever a client asks for: every control of Open WebUI, every spelling of thinking.

use rkgate::policy::{Decision, Facts, Headers, Input, ModelFact};
use serde_json::{Value, json};

use crate::shipped;

/// The decision about a request with these fields beside model, stream and messages.
fn decide(
    model: &str,
    headers: &[(&str, &str)],
    fields: &Value,
    said: &[(&str, &str)],
) -> Decision {
    let messages: Vec<Value> = said
        .iter()
        .map(|(role, content)| json!({"role": role, "content": content}))
        .collect();
    let mut body = json!({"model": model, "stream": true, "messages": messages});
    let body = {
        let object = body.as_object_mut().unwrap();
        object.extend(fields.as_object().unwrap().clone());
        body.to_string()
    };
    let request = rkgate::wire::openai::decode_chat(body.as_bytes())
        .unwrap_or_else(|error| panic!("{error}: {body}"));
    let look_up = |name: &str| {
        let header = headers.iter().find(|(header, _)| *header == name);
        header.map(|(_, value)| *value)
    };
    let outcome = shipped().decide(&Input {
        request: &request,
        headers: Headers::new(&look_up),
        facts: &facts(),
    });
    outcome.decision
}

fn facts() -> Facts {
    let model = |id: &str, family: &str, thinking: bool| ModelFact {
        id: id.into(),
        family: family.to_owned(),
        thinking,
        ..Facts::example().models.remove(0)
    };
    Facts {
        models: vec![
            model("qwen3-1.7b", "qwen3", true),
            model("qwen3-4b-instruct-2507", "qwen3", true),
            model("qwen3-4b-thinking-2507", "qwen3", true),
            model("qwen3-vl-2b", "qwen3-vl", false),
            model("qwen2.5-1.5b", "qwen2.5", false),
            model("deepseek-r1-distill-qwen-1.5b", "deepseek-r1", true),
            model("phi-3-mini", "phi-3", false),
            model("minicpm4-8b", "minicpm4", false),
            model("gemma-3-4b", "gemma-3", false),
        ],
    }
}

/// Values of a decision by name, in hundredths so that they compare.
fn value(decision: &Decision, name: &str) -> Option<i64> {
    let sampling = serde_json::to_value(decision.sampling).unwrap();
    let number = sampling[name].as_f64()?;
    Some((number * 100.0).round() as i64)
}

#[track_caller]
fn assert_values(decision: &Decision, wanted: &[(&str, f64)], what: &Value) {
    for (name, wanted) in wanted {
        let wanted = (wanted * 100.0).round() as i64;
        assert_eq!(value(decision, name), Some(wanted), "{name} of {what}");
    }
}

const HELLO: &[(&str, &str)] = &[("user", "Why is the sky blue?")];

#[test]
fn each_family_has_its_values() {
    let qwen3 = [
        ("temperature", 0.6),
        ("top_p", 0.95),
        ("top_k", 20.0),
        ("min_p", 0.0),
    ];
    let penalties = [("presence_penalty", 1.5), ("repeat_penalty", 1.1)];
    let cautious = [
        ("temperature", 0.7),
        ("top_p", 0.9),
        ("top_k", 40.0),
        ("repeat_penalty", 1.1),
    ];
    let none = json!({});
    for (model, profile, thinking, wanted) in [
        (
            "qwen3-1.7b",
            "qwen3.thinking",
            Some(true),
            &[&qwen3[..], &penalties].concat(),
        ),
        (
            "qwen2.5-1.5b",
            "qwen2.5",
            None,
            &[&qwen3[..], &penalties].concat(),
        ),
        ("phi-3-mini", "phi", None, &cautious.to_vec()),
        ("gemma-3-4b", "gemma", None, &cautious.to_vec()),
        (
            "minicpm4-8b",
            "minicpm",
            None,
            &vec![
                ("temperature", 0.7),
                ("top_p", 0.7),
                ("repeat_penalty", 1.02),
            ],
        ),
    ] {
        let decision = decide(model, &[], &none, HELLO);
        assert_eq!(decision.profile.as_deref(), Some(profile), "{model}");
        assert_eq!(decision.thinking, thinking, "{model}");
        assert_values(&decision, wanted, &json!(model));
    }
}

#[test]
fn a_client_is_obeyed_within_limits_and_qwen3_is_never_greedy() {
    for (fields, wanted) in [
        (json!({"temperature": 0.9}), [("temperature", 0.9)]),
        (json!({"temperature": "0.8"}), [("temperature", 0.8)]),
        (json!({"temperature": 9}), [("temperature", 1.5)]),
        (json!({"temperature": 0}), [("temperature", 0.1)]),
        (json!({"temperature": ""}), [("temperature", 0.6)]),
        (json!({"temperature": null}), [("temperature", 0.6)]),
        (json!({"top_k": 1}), [("top_k", 2.0)]),
        (json!({"top_k": 0}), [("top_k", 20.0)]),
        (json!({"top_k": -1}), [("top_k", 20.0)]),
        (json!({"top_k": 50.0}), [("top_k", 50.0)]),
        (json!({"top_k": 100_000}), [("top_k", 200.0)]),
        (json!({"top_p": 0}), [("top_p", 0.5)]),
        (json!({"top_p": 1}), [("top_p", 1.0)]),
        (json!({"min_p": 1}), [("min_p", 0.3)]),
        (json!({"repeat_penalty": 3}), [("repeat_penalty", 1.5)]),
        (json!({"presence_penalty": 0}), [("presence_penalty", 0.0)]),
        (
            json!({"frequency_penalty": -2}),
            [("frequency_penalty", -1.0)],
        ),
    ] {
        let decision = decide("qwen3-1.7b", &[], &fields, HELLO);
        assert_values(&decision, &wanted, &fields);
    }
    let greedy = json!({"temperature": 0, "top_k": 1, "top_p": 0.05});
    let other = decide("phi-3-mini", &[], &greedy, HELLO);
    assert_values(
        &other,
        &[("temperature", 0.0), ("top_k", 1.0), ("top_p", 0.05)],
        &greedy,
    );
}

/// Each control of Open WebUI, switched on and left empty, or set to something.
#[test]
fn no_control_of_open_webui_is_an_error() {
    let plain = decide("qwen3-1.7b", &[], &json!({}), HELLO);
    for name in [
        "seed",
        "temperature",
        "reasoning_effort",
        "logit_bias",
        "max_tokens",
        "top_k",
        "top_p",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "repeat_last_n",
        "tfs_z",
        "repeat_penalty",
        "use_mmap",
        "use_mlock",
        "think",
        "format",
        "num_keep",
        "num_ctx",
        "num_batch",
        "num_thread",
        "num_gpu",
        "stop",
        "keep_alive",
    ] {
        for empty in [json!(""), json!(null)] {
            let decision = decide("qwen3-1.7b", &[], &json!({name: empty}), HELLO);
            assert_eq!(decision.sampling, plain.sampling, "{name}");
            assert_eq!(decision.max_tokens, plain.max_tokens, "{name}");
        }
    }
    for fields in [
        json!({"format": "json"}),
        json!({"format": {"type": "object"}}),
        json!({"mirostat": 2, "mirostat_eta": 0.1, "mirostat_tau": 5.0}),
        json!({"logit_bias": {"5": -100}}),
        json!({"tfs_z": 1.0, "repeat_last_n": 64, "num_ctx": 131_072, "num_keep": 24}),
        json!({"use_mmap": true, "use_mlock": false, "num_batch": 512, "num_thread": 2}),
        json!({"my_own_parameter": [1, {"a": "b"}]}),
    ] {
        let decision = decide("qwen3-1.7b", &[], &fields, HELLO);
        assert_eq!(decision.sampling, plain.sampling, "{fields}");
    }
    let limited = |fields: Value| decide("qwen3-1.7b", &[], &fields, HELLO).max_tokens;
    assert_eq!(limited(json!({"max_tokens": 100})), Some(100));
    assert_eq!(limited(json!({"max_completion_tokens": 100})), Some(100));
    assert_eq!(limited(json!({"max_tokens": 1_000_000})), Some(4096));
    assert_eq!(limited(json!({"max_tokens": -1})), Some(4096));
    let seeded = decide("qwen3-1.7b", &[], &json!({"seed": 7}), HELLO);
    assert_eq!(seeded.sampling.seed, Some(7));
}

#[test]
fn every_spelling_of_thinking_is_understood() {
    let off = [
        json!({"think": false}),
        json!({"think": "false"}),
        json!({"think": "none"}),
        json!({"enable_thinking": false}),
        json!({"chat_template_kwargs": {"enable_thinking": false}}),
        json!({"chat_template_kwargs": "{\"enable_thinking\": false}"}),
        json!({"reasoning_effort": "none"}),
        json!({"reasoning_effort": "minimal"}),
        json!({"chat_template_kwargs": {"enable_thinking": false}, "think": true, "reasoning_effort": "high"}),
    ];
    for fields in off {
        let decision = decide("qwen3-1.7b", &[], &fields, HELLO);
        assert_eq!(decision.profile.as_deref(), Some("qwen3.plain"), "{fields}");
        assert_eq!(decision.thinking, Some(false), "{fields}");
        assert_values(
            &decision,
            &[("temperature", 0.7), ("top_p", 0.8), ("top_k", 20.0)],
            &fields,
        );
    }
    let on = [
        json!({}),
        json!({"think": true}),
        json!({"think": ""}),
        json!({"think": "high"}),
        json!({"reasoning_effort": "low"}),
        json!({"reasoning_effort": ""}),
        json!({"reasoning_effort": 3}),
        json!({"chat_template_kwargs": {}}),
        json!({"chat_template_kwargs": "nonsense"}),
        json!({"chat_template_kwargs": {"enable_thinking": true}, "think": false}),
    ];
    for fields in on {
        let decision = decide("qwen3-1.7b", &[], &fields, HELLO);
        assert_eq!(
            decision.profile.as_deref(),
            Some("qwen3.thinking"),
            "{fields}"
        );
        assert_eq!(decision.thinking, Some(true), "{fields}");
    }
}

/// Typed words go before fields, a person's before a preset's, the last before earlier ones.
#[test]
fn typed_switches_are_obeyed() {
    for (said, thinking) in [
        (&[("user", "Why? /no_think")][..], false),
        (&[("user", "/no_think Why?")], false),
        (&[("user", "/no_think\nWhy?")], false),
        (&[("user", "Why?\n\n/NO_THINK")], false),
        (&[("user", "Why? /nothink.")], false),
        (&[("user", "/no_think")], false),
        (&[("user", "Why? /no_think /think")], true),
        (&[("system", "/no_think"), ("user", "Why?")], false),
        (
            &[("system", "You are Bob.\n/no_think"), ("user", "Why?")],
            false,
        ),
        (
            &[
                ("system", "You are Bob. /no_think"),
                ("user", "Why? /think"),
            ],
            true,
        ),
        (
            &[
                ("user", "Why? /no_think"),
                ("assistant", "So."),
                ("user", "How?"),
            ],
            false,
        ),
        (
            &[
                ("user", "Why? /no_think"),
                ("assistant", "So."),
                ("user", "How? /think"),
            ],
            true,
        ),
        (&[("user", "What does /no_think do?")], true),
        (&[("user", "```\n/no_think\n```\nWhy?")], true),
        (&[("user", "cat /no_thinking")], true),
    ] {
        for fields in [
            json!({}),
            json!({"think": thinking}),
            json!({"think": !thinking}),
        ] {
            let is_typed = said.iter().any(|(_, text)| {
                !text.contains("What does") && !text.contains("```") && !text.contains("cat")
            });
            let decision = decide("qwen3-1.7b", &[], &fields, said);
            let wanted = if is_typed {
                thinking
            } else {
                fields != json!({"think": false})
            };
            assert_eq!(decision.thinking, Some(wanted), "{said:?} {fields}");
        }
    }
    // Other families take it for a path.
    let phi = decide("phi-3-mini", &[], &json!({}), &[("user", "ls /think")]);
    assert_eq!(phi.thinking, None);
}

/// Some models can do it one way only, whatever they are told.
#[test]
fn what_a_model_cannot_do_is_not_asked_of_it() {
    for (model, thinking, profile) in [
        ("qwen3-4b-instruct-2507", Some(false), "qwen3.plain-only"),
        ("qwen3-4b-thinking-2507", Some(true), "qwen3.thinking-only"),
        ("deepseek-r1-distill-qwen-1.5b", Some(true), "deepseek-r1"),
        ("qwen3-vl-2b", None, "qwen3.plain"),
        ("qwen2.5-1.5b", None, "qwen2.5"),
    ] {
        for fields in [json!({}), json!({"think": true}), json!({"think": false})] {
            let decision = decide(model, &[], &fields, HELLO);
            assert_eq!(
                decision.profile.as_deref(),
                Some(profile),
                "{model} {fields}"
            );
            assert_eq!(decision.thinking, thinking, "{model} {fields}");
        }
    }
}

/// A preset's values come with every task of its chats; they were set for the chats.
#[test]
fn tasks_take_none_of_it_but_limits() {
    let fields = json!({"temperature": 1.4, "top_k": 1, "top_p": 0.1, "min_p": 0.5, "think": true,
        "repeat_penalty": 1.4, "presence_penalty": 0, "frequency_penalty": 1, "max_tokens": 20});
    for task in [
        "title_generation",
        "tags_generation",
        "query_generation",
        "memory_review",
    ] {
        let decision = decide("qwen3-1.7b", &[("x-openwebui-task", task)], &fields, HELLO);
        assert_eq!(decision.profile.as_deref(), Some("qwen3.plain"), "{task}");
        assert_eq!(decision.thinking, Some(false), "{task}");
        assert_eq!(decision.max_tokens, Some(20), "{task}");
        let wanted = [
            ("temperature", 0.7),
            ("top_p", 0.8),
            ("top_k", 20.0),
            ("presence_penalty", 1.5),
        ];
        assert_values(&decision, &wanted, &json!(task));
    }
    let merged = decide(
        "qwen3-1.7b",
        &[("x-openwebui-task", "moa_response_generation")],
        &json!({"temperature": 1.2, "top_k": 1, "think": false}),
        HELLO,
    );
    assert_eq!(merged.thinking, Some(false));
    assert_values(
        &merged,
        &[("temperature", 1.2), ("top_k", 2.0)],
        &json!("merging"),
    );
}
