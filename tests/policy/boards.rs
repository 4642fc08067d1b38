//! The two boards, and the models that people run on them.

use std::time::Duration;

use rkgate::policy::{
    Class, Decision, Facts, Headers, Input, ModelFact, Outcome, Platform, Set, shipped,
};
use serde_json::{Value, json};

fn set(platform: Platform) -> Set {
    let compiled = Set::compile(&shipped::files(), platform);
    compiled.unwrap_or_else(|report| panic!("{report}")).set
}

fn model(id: &str, family: &str) -> ModelFact {
    ModelFact {
        id: id.into(),
        family: family.to_owned(),
        context: Some(16_384),
        thinking: family.starts_with("qwen3") && !family.contains("vl"),
        vision: family.contains("vl"),
        ..Facts::example().models.remove(0)
    }
}

fn outcome(set: &Set, models: &[ModelFact], task: &str, body: &Value) -> Outcome {
    let request = rkgate::wire::openai::decode_chat(body.to_string().as_bytes()).unwrap();
    let look_up = |name: &str| (name == "x-openwebui-task").then_some(task);
    set.decide(&Input {
        request: &request,
        headers: Headers::new(&look_up),
        facts: &Facts {
            models: models.to_vec(),
        },
    })
}

fn asked(model: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "Hello"}]})
}

fn decide(set: &Set, models: &[ModelFact], asked_of: &str, task: &str) -> Decision {
    outcome(set, models, task, &asked(asked_of)).decision
}

const BOARDS: [Platform; 2] = [Platform::Rk3588, Platform::Rk3576];

/// Small jobs go to the smallest model there is, those that need thought stay with the chat's.
#[test]
fn tasks_go_to_the_small_models_of_either_board() {
    let small = [
        "title_generation",
        "tags_generation",
        "follow_up_generation",
        "query_generation",
        "autocomplete_generation",
        "emoji_generation",
        "image_prompt_generation",
    ];
    let own = [
        "",
        "moa_response_generation",
        "function_calling",
        "context_compaction",
        "memory_review",
    ];
    let all = [
        model("qwen3-4b", "qwen3"),
        model("qwen3-0.6b", "qwen3"),
        model("minicpm4-0.5b", "minicpm4"),
    ];
    for platform in BOARDS {
        let set = set(platform);
        for (models, smallest) in [
            (&all[..], "minicpm4-0.5b"),
            (&all[..2], "qwen3-0.6b"),
            (&all[..1], "qwen3-4b"),
        ] {
            for task in small {
                let decision = decide(&set, models, "qwen3-4b", task);
                assert_eq!(&*decision.model, smallest, "{platform:?} {task}");
                assert!(!decision.thinking.unwrap_or(false), "{task}");
            }
            for task in own {
                let decision = decide(&set, models, "qwen3-4b", task);
                assert_eq!(&*decision.model, "qwen3-4b", "{platform:?} {task}");
            }
        }
    }
}

/// Chats go first; whoever waits for a task waits with a limit, and gets an answer that changes nothing.
#[test]
fn every_task_has_its_place_in_the_queue_and_its_last_resort() {
    let models = [model("qwen3-4b", "qwen3")];
    for platform in BOARDS {
        let set = set(platform);
        let chat = decide(&set, &models, "qwen3-4b", "").queue;
        assert_eq!((chat.urgency, chat.deadline), (0, None));
        for class in Class::ALL.into_iter().filter(|class| class.is_task()) {
            let task = class.as_str().strip_prefix("task/").unwrap();
            let decision = decide(&set, &models, "qwen3-4b", task);
            assert_eq!(decision.class, class);
            let queue = decision.queue;
            if class == Class::Moa {
                // A person looks at the screen.
                assert_eq!((queue.urgency, queue.fallback), (0, None));
                continue;
            }
            assert!(queue.urgency > 0, "{class}");
            assert!(
                queue
                    .deadline
                    .is_some_and(|time| time >= Duration::from_secs(1)),
                "{class}"
            );
            assert!(queue.fallback.is_some(), "{class}");
            assert!(
                decision.max_tokens.is_some_and(|most| most <= 1024),
                "{class}"
            );
        }
    }
}

/// Every model family that runs on these boards has settings and a profile of its own.
#[test]
fn every_family_is_known() {
    let families = [
        ("qwen3-0.6b", "qwen3", "qwen3.thinking"),
        ("qwen3-1.7b", "qwen3", "qwen3.thinking"),
        ("qwen3-4b", "qwen3", "qwen3.thinking"),
        ("qwen3-vl-2b", "qwen3-vl", "qwen3.plain"),
        ("qwen2.5-1.5b", "qwen2.5", "qwen2.5"),
        ("qwen2.5-vl-3b", "qwen2.5-vl", "qwen2.5"),
        ("phi-3-mini", "phi-3", "phi"),
        ("gemma-2-2b", "gemma-2", "gemma"),
        ("gemma-3-4b", "gemma-3", "gemma"),
        ("gemma-3n-e2b", "gemma-3n", "gemma"),
        ("minicpm3-4b", "minicpm3", "minicpm"),
        ("minicpm4-0.5b", "minicpm4", "minicpm"),
        ("minicpm-v-2_6", "minicpm-v", "minicpm"),
        ("internlm2-1.8b", "internlm2", "general"),
        ("internvl3-1b", "internvl3", "general"),
        ("telechat2-3b", "telechat2", "general"),
        ("chatglm3-6b", "chatglm3", "general"),
        ("rwkv7-1.5b", "rwkv7", "general"),
        ("smolvlm-256m", "smolvlm", "general"),
        ("llama-3.2-1b", "llama-3.2", "general"),
        ("tinyllama-1.1b", "tinyllama", "general"),
        (
            "deepseek-r1-distill-qwen-1.5b",
            "deepseek-r1",
            "deepseek-r1",
        ),
        ("deepseekocr-3b", "deepseekocr", "ocr"),
    ];
    for platform in BOARDS {
        let set = set(platform);
        for (id, family, profile) in families {
            let decision = decide(&set, &[model(id, family)], id, "");
            assert_eq!(
                decision.profile.as_deref(),
                Some(profile),
                "{platform:?} {id}"
            );
            assert!(decision.max_tokens.is_some_and(|most| most <= 4096), "{id}");
        }
    }
}

/// What the smaller board reads more slowly it is given less of, and it answers shorter.
#[test]
fn the_smaller_board_is_spared() {
    let [large, small] = BOARDS.map(set);
    let turn = |n: usize| {
        let question = format!("Question {n}: {}", "why is it so? ".repeat(20));
        let answer = "Because of this and that. ".repeat(20);
        [
            json!({"role": "user", "content": question}),
            json!({"role": "assistant", "content": answer}),
        ]
    };
    let conversation = |turns: usize| -> Value {
        let last = json!({"role": "user", "content": "And now?"});
        (0..turns).flat_map(turn).chain([last]).collect()
    };
    for (id, family) in [
        ("qwen3-1.7b", "qwen3"),
        ("qwen3-vl-2b", "qwen3-vl"),
        ("gemma-3n-e2b", "gemma-3n"),
    ] {
        // The longest of all that this model reads while the conversation grows, and how long it may answer.
        let most = |set: &Set| -> (usize, Option<u32>) {
            let lengths = (0..40).map(|turns| {
                let body = json!({"model": id, "stream": true, "messages": conversation(turns)});
                let outcome = outcome(set, &[model(id, family)], "", &body);
                let request = outcome.request.unwrap();
                let texts = request
                    .messages
                    .iter()
                    .map(|message| message.content.text().chars().count());
                (texts.sum(), outcome.decision.max_tokens)
            });
            lengths.max().unwrap()
        };
        let ((more, longer), (less, shorter)) = (most(&large), most(&small));
        assert!(less < more, "{id}: {less} and {more}");
        assert!(shorter < longer, "{id}: {shorter:?} and {longer:?}");
    }
}
