use crate::{
    Family,
    author::{Faults, fixtures::say},
};

fn qwen3(turn: &str, opened: &str) -> String {
    say(
        Family::Qwen3,
        &format!("<|im_start|>user\n{turn}<|im_end|>\n<|im_start|>assistant\n{opened}"),
        Faults::default(),
    )
}

#[test]
fn qwen3_thinks_unless_told_not_to() {
    let thought = qwen3("What is a heat pump?", "");
    let (thinking, answer) = thought.split_once("\n</think>\n\n").unwrap();
    let words = thinking.split_whitespace().count();
    assert!(
        thinking.starts_with("<think>\n") && (30..=220).contains(&words),
        "{words} words: {thinking}"
    );
    assert!(answer.starts_with("A heat pump"));

    assert!(qwen3("What is a heat pump?", "<think>\n\n</think>\n\n").starts_with("A heat pump"));
    assert!(
        qwen3("/no_think What is a heat pump?", "")
            .starts_with("<think>\n\n</think>\n\nA heat pump")
    );
    assert!(!qwen3("/no_think What is a heat pump? /think", "").starts_with("<think>\n\n"));
}

#[test]
fn a_block_that_the_template_opened_is_only_closed() {
    let thought = qwen3("What is a heat pump?", "<think>\n");
    assert!(
        !thought.contains("<think>") && thought.contains("\n</think>\n\nA heat pump"),
        "{thought}"
    );
}

#[test]
fn other_families_do_not_think_unless_they_are_broken() {
    let prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert!(!say(Family::MiniCpm, prompt, Faults::default()).contains("think>"));
    let anyway = Faults {
        think_anyway: true,
        ..Faults::default()
    };
    assert!(say(Family::MiniCpm, prompt, anyway).starts_with("<think>\n"));
}
