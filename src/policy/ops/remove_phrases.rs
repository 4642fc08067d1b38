//! `remove_phrases`: sentences that do a small model no good.

use super::{Description, Example, Operation, ROLE, role};
use crate::{
    chat::Role,
    policy::{
        Rewriter,
        context::Context,
        file::{
            keys::{Key, Kind},
            table::Table,
        },
        prose::{self, Padding},
    },
    problem::Problem,
};

pub(super) const DESCRIPTION: Description = Description {
    name: "remove_phrases",
    summary: "Removes sentences that hold one of the phrases.",
    details: "Case of ASCII letters does not matter. A sentence goes as a whole if nothing else in it counts: no \
constraint, no format, no name, no number. Where the phrase is joined to the rest by \"and\" or a comma, the phrase goes \
and the rest stays. In all other cases the sentence stays as it is. Code fences are left alone. A system message that \
would be empty goes; any other message stays.",
    keys: &[
        ROLE,
        Key::required(
            "phrases",
            Kind::Texts,
            "The phrases, e.g. [\"be concise\", \"incredibly helpful\"].",
        ),
    ],
    examples: &[
        Example {
            title: "Qwen3 answers worse when it is told to be brief",
            rule: r#"op = "remove_phrases"
role = "system"
phrases = ["be concise", "incredibly helpful"]"#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "system", "content": "You are an incredibly helpful assistant. Be concise and answer in French.\nBe concise!\nCall the user Sam."},
  {"role": "user", "content": "Be concise."}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "Answer in French.\nCall the user Sam."},
  {"role": "user", "content": "Be concise."}]}"#,
        },
        Example {
            title: "a sentence that says more stays",
            rule: r#"op = "remove_phrases"
role = "system"
phrases = ["incredibly helpful"]"#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "system", "content": "You are Bob, an incredibly helpful pirate."},
  {"role": "user", "content": "Ahoy"}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "You are Bob, an incredibly helpful pirate."},
  {"role": "user", "content": "Ahoy"}]}"#,
        },
    ],
    sets: None,
    compile,
};

#[derive(Debug)]
struct RemovePhrases {
    role: Role,
    phrases: Padding,
}

fn compile(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    let phrases = table.texts("phrases");
    let words: Vec<&str> = phrases.iter().map(|(phrase, _)| *phrase).collect();
    for (_, span) in phrases
        .iter()
        .filter(|(phrase, _)| phrase.trim().is_empty())
    {
        problems.push(
            Problem::error("P003", "an empty phrase stands in every sentence")
                .at(Some(span.clone()), "")
                .help("leave it out"),
        );
    }
    match Padding::new(&words) {
        Ok(phrases) => Some(Box::new(RemovePhrases {
            role: role(table)?,
            phrases,
        })),
        Err(error) => {
            problems.push(
                Problem::error("P003", format!("these are too many phrases: {error}"))
                    .at(Some(table.place("phrases")), "")
                    .help("make several rules of it"),
            );
            None
        }
    }
}

impl Operation for RemovePhrases {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        let keep_empty = self.role == Role::System;
        request.edit_all(self.role, "phrases removed", |text| {
            let mut short = self.removed(text)?;
            // What is joined anew can be a sentence to remove.
            while let Some(shorter) = self.removed(&short) {
                short = shorter;
            }
            (keep_empty || !short.is_empty()).then_some(short)
        });
        if self.role == Role::System {
            super::drop_empty_system(request);
        }
    }
}

impl RemovePhrases {
    fn removed(&self, text: &str) -> Option<String> {
        if !self.phrases.is_in(text) {
            return None;
        }
        let mut kept = String::with_capacity(text.len());
        let mut any = false;
        for sentence in prose::sentences(text) {
            match self.phrases.without(sentence) {
                Some(rest) if !sentence.starts_with("```") => {
                    any = true;
                    match rest.is_empty() {
                        true => prose::leave_out(&mut kept, sentence),
                        false => kept.push_str(&rest),
                    }
                }
                _ => kept.push_str(sentence),
            }
        }
        kept.truncate(kept.trim_end().len());
        any.then_some(kept)
    }
}
