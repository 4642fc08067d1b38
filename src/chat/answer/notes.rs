//! What the rules have done to an answer, in words.

use serde_json::Value;

use super::{AnswerNotes, Dropped, JsonNote, Loop, json_repair::Fixes};

impl AnswerNotes {
    /// One sentence for each thing that was done.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let Self {
            dropped,
            json,
            repetition,
            blank,
        } = self;
        let dropped =
            dropped.map(|Dropped { chars, .. }| format!("dropped {chars} characters of thinking"));
        let json = match json {
            None | Some(JsonNote::AsIs) => None,
            Some(JsonNote::Repaired(fixes)) => Some(format!("mended the JSON: {}", listed(fixes))),
            Some(JsonNote::Fallback) => {
                Some("sent the fallback: the JSON could not be mended".to_owned())
            }
            Some(JsonNote::Hopeless) => {
                Some("left the answer alone: the JSON could not be mended".to_owned())
            }
        };
        let repetition = repetition.as_ref().map(|Loop { begin, period, end }| {
            format!("ended it after {end} characters: from {begin} on, the same {period} came again and again")
        });
        let blank = blank.then(|| "sent the fallback: there was no visible text".to_owned());
        [dropped, json, repetition, blank]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// What had been wrong, by the names that rkgate's log has for it.
fn listed(fixes: &Fixes) -> String {
    let names = match serde_json::to_value(fixes) {
        Ok(Value::Array(names)) => names,
        _ => Vec::new(),
    };
    let names = names.iter().filter_map(Value::as_str);
    names
        .map(|name| name.replace('_', " "))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::answer::json_repair::Fix;

    #[test]
    fn each_thing_is_said_once() {
        assert_eq!(AnswerNotes::default().words(), Vec::<String>::new());
        let notes = AnswerNotes {
            dropped: Some(Dropped {
                chars: 12,
                tokens: 3,
            }),
            json: Some(JsonNote::Repaired(
                [Fix::Quotes, Fix::TooLong].into_iter().collect(),
            )),
            repetition: Some(Loop {
                begin: 5,
                period: 7,
                end: 40,
            }),
            blank: true,
        };
        assert_eq!(
            notes.words(),
            [
                "dropped 12 characters of thinking",
                "mended the JSON: quotes, too long",
                "ended it after 40 characters: from 5 on, the same 7 came again and again",
                "sent the fallback: there was no visible text",
            ]
        );
    }
}
