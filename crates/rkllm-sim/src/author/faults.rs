//! The faults of small models, put into an answer that was right.

use super::{
    Prompt,
    answer::{Answer, Form},
    chance::Chance,
};
use crate::Family;

/// Most words of an answer that has fallen into a loop; real ones go on until they are cut.
const LOOP_WORDS: usize = 2_000;

pub(crate) fn spoil(answer: Answer, prompt: &Prompt<'_>, chance: &Chance) -> String {
    let greedy_qwen3 =
        prompt.family == Family::Qwen3 && prompt.sampling.top_k == 1 && answer.form == Form::Prose;
    if prompt.faults.broken_json {
        match answer.form {
            Form::Json => return broken(&answer.text, chance),
            Form::ToolCall => {
                let inside = answer
                    .text
                    .replace("<tool_call>\n", "")
                    .replace("\n</tool_call>", "");
                return format!(
                    "<tool_call>\n{}\n</tool_call>",
                    unquoted_or_cut(&inside, chance)
                );
            }
            Form::Prose | Form::Exact => {}
        }
    }
    if prompt.faults.repetition || greedy_qwen3 {
        return repeating(&answer.text);
    }
    answer.text
}

/// One of the ways in which small models break a JSON answer.
fn broken(json: &str, chance: &Chance) -> String {
    match chance.below("broken", 5) {
        0 => format!(
            "Sure! Here is the JSON you asked for:\n\n```json\n{json}\n```\n\nLet me know if you need anything else."
        ),
        1 => format!("```json\n{json}\n```"),
        _ => unquoted_or_cut(json, chance),
    }
}

fn unquoted_or_cut(json: &str, chance: &Chance) -> String {
    match chance.below("cut", 3) {
        0 => {
            // A comma behind the last entry.
            let end = json.trim_end_matches([']', '}']);
            format!("{end},{}", json.get(end.len()..).unwrap_or_default())
        }
        1 => json.replace('"', "'"),
        _ => json.chars().take(json.chars().count() * 2 / 3).collect(),
    }
}

/// The last paragraph of `text`, again and again.
fn repeating(text: &str) -> String {
    let last = text.rsplit("\n\n").next().unwrap_or(text);
    let words = last.split_whitespace().count().max(1);
    let mut looped = text.to_owned();
    for _ in 0..(LOOP_WORDS / words).max(1) {
        looped.push_str("\n\n");
        looped.push_str(last);
    }
    looped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sampling, author::Faults};

    fn prompt(faults: Faults, top_k: i32, text: &str) -> Prompt<'_> {
        Prompt {
            family: Family::Qwen3,
            text,
            sampling: Sampling {
                top_k,
                ..Sampling::default()
            },
            faults,
        }
    }

    #[test]
    fn broken_json_does_not_parse_as_it_is() {
        let faults = Faults {
            broken_json: true,
            ..Faults::default()
        };
        for seed in 0..20 {
            let text = format!("prompt {seed}");
            let prompt = prompt(faults, 20, &text);
            let chance = Chance::of(
                &super::super::conversation::Conversation::read(&prompt),
                &prompt.sampling,
            );
            let answer = Answer {
                form: Form::Json,
                text: r#"{"tags": ["A", "B"]}"#.to_owned(),
            };
            let spoilt = spoil(answer, &prompt, &chance);
            assert!(
                serde_json::from_str::<serde_json::Value>(&spoilt).is_err(),
                "{spoilt}"
            );
        }
    }

    #[test]
    fn qwen3_loops_when_it_always_takes_the_likeliest_token() {
        let spoilt = spoil(
            Answer::prose("First.\n\nLast one."),
            &prompt(Faults::default(), 1, ""),
            &Chance::fixed(),
        );
        assert!(spoilt.starts_with("First.\n\nLast one.\n\nLast one."));
        let words = spoilt.split_whitespace().count();
        assert!((1_900..=2_100).contains(&words), "{words}");
        let calm = spoil(
            Answer::prose("First."),
            &prompt(Faults::default(), 20, ""),
            &Chance::fixed(),
        );
        assert_eq!(calm, "First.");
    }
}
