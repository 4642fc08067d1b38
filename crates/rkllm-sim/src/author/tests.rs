#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use super::{
    fixtures::{ask, chat, say},
    *,
};

#[test]
fn equal_prompts_and_values_give_equal_answers() {
    let prompt =
        "<|im_start|>user\nTell me about marble quarries.<|im_end|>\n<|im_start|>assistant\n";
    let with = |temperature| {
        compose(&Prompt {
            family: Family::Qwen3,
            text: prompt,
            sampling: Sampling {
                temperature,
                ..Sampling::default()
            },
            faults: Faults::default(),
        })
    };
    assert_eq!(with(0.6), with(0.6));
    let others: Vec<String> = [0.7, 0.8, 0.9, 1.0].map(with).to_vec();
    assert!(
        others.iter().any(|other| *other != with(0.6)),
        "sampling values never change the wording"
    );
}

#[test]
fn a_continued_answer_goes_on_where_it_stopped() {
    let whole = ask("What is a heat pump?");
    let (said, rest) = whole.split_at(whole.char_indices().nth(60).unwrap().0);
    let prompt =
        format!("<|im_start|>user\nWhat is a heat pump?<|im_end|>\n<|im_start|>assistant\n{said}");
    let continued = say(Family::Qwen3, &prompt, Faults::default());
    assert_eq!(
        format!("{}{continued}", said.trim_end()).replace(' ', ""),
        format!("{said}{rest}").replace(' ', "")
    );
}

#[test]
fn simple_orders_are_obeyed() {
    assert_eq!(ask("Say the word beta."), "Beta");
    assert_eq!(
        chat(&[
            ("user", "Hi"),
            ("assistant", "Hello"),
            ("user", "Thanks. Now just say hello.")
        ]),
        "Hello!"
    );
    assert!(ask("/no_think What is 2+2?").contains('4'));
    let counted = ask("Count from 1 to 400, one number per line, nothing else. SLOWSTREAM");
    assert_eq!(counted.lines().count(), 400);
    assert_eq!(counted.lines().next_back(), Some("400"));
}

#[test]
fn code_comes_in_a_fence() {
    let answer = ask("Write a Python function that sorts names.");
    assert!(answer.contains("```python\ndef "), "{answer}");
    assert!(ask("Write a Rust program that sorts names").contains("```rust\n"));
}

#[test]
fn text_models_say_that_they_cannot_see() {
    assert!(ask("What colours are in this picture?").contains("cannot see"));
    let prompt = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What colours are in this picture?<|im_end|>\n<|im_start|>assistant\n";
    assert!(say(Family::Qwen3Vl, prompt, Faults::default()).contains("colours are **"));
}

#[test]
fn a_created_image_is_announced() {
    let system = "<context>The requested image has been created by the system successfully and is now being shown to the user.</context>";
    assert!(chat(&[("system", system), ("user", "Draw a red fox.")]).contains("red fox"));
}

#[test]
fn the_code_interpreter_is_used_and_its_output_told() {
    let offered = "Compute 6*7 with Python. CODEINTERP\n\n#### Code Interpreter\n\nYou have access via: `<code_interpreter type=\"code\" lang=\"python\"></code_interpreter>`";
    let program = ask(offered);
    assert!(
        program.contains(
            "<code_interpreter type=\"code\" lang=\"python\">\nprint(6 * 7)\n</code_interpreter>"
        ),
        "{program}"
    );
    let ran = format!("{program}\n<code_interpreter_output>\n{{\"stdout\": \"42\\n\"}}");
    for text in [
        fixtures::prompt(&[("user", offered), ("assistant", &ran)]),
        format!("<|im_start|>user\n{offered}<|im_end|>\n<|im_start|>assistant\n{ran}"),
    ] {
        assert!(say(Family::MiniCpm, &text, Faults::default()).contains("`42`"));
    }
}

#[test]
fn any_prompt_is_answered_without_failing() {
    let odd = [
        "",
        " ",
        "<|im_start|>",
        "<|im_start|>user",
        "<|im_start|>user\n",
        "<context></context>",
        "</context>",
        "é<|im_end|>ü",
        "<|im_start|>user\n<tool_response><|im_end|>\n<|im_start|>assistant\n",
        "count from 9 to 99999999999999999999",
        "say \"",
        "<|im_start|>system\nAvailable Tools: [{<|im_end|>",
    ];
    let families = [
        Family::Qwen2,
        Family::Qwen3,
        Family::Qwen3Vl,
        Family::MiniCpm,
        Family::Gemma,
        Family::Phi3,
        Family::Llama3,
    ];
    for family in families {
        for text in odd {
            let faults = Faults {
                broken_json: true,
                think_anyway: true,
                repetition: false,
            };
            say(family, text, faults);
            assert!(
                !say(family, text, Faults::default()).is_empty() || text.contains("<text>"),
                "{family:?} {text:?}"
            );
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_at_all_is_answered(text in "\\PC{0,80}", role in "user|assistant|system|tool") {
        let marked = format!("<|im_start|>{role}\n{text}<|im_end|>\n<|im_start|>assistant\n");
        say(Family::Qwen3, &marked, Faults::default());
        say(Family::Gemma, &text, Faults::default());
    }
}
