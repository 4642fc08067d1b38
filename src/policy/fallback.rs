//! Answers without the model: where it gives none that can be used, or is not to be asked at all.

use std::{borrow::Cow, sync::Arc};

use crate::chat::{Request, Role};

/// What stands for a message of the chat that a task is about, and how much of it is taken at most, in characters.
const PLACES: [(&str, usize); 3] = [
    ("{first_message}", 60),
    ("{last_message}", 200),
    ("{last_question}", 200),
];

/// A question of fewer words is told with the one before it.
const FEW_WORDS: usize = 4;

/// An answer without the model.
#[derive(Debug, Clone)]
pub(super) struct Fallback {
    /// With places for what the chat says.
    pub(super) answer: Arc<str>,
    /// Whether the model is not asked at all.
    pub(super) instead: bool,
}

impl Fallback {
    /// The answer to a request, and whether it is given instead of asking the model: not where the chat does not say what
    /// the answer is made of.
    pub(super) fn fill(&self, request: &Request) -> (Arc<str>, bool) {
        if !PLACES.iter().any(|(place, _)| self.answer.contains(place)) {
            return (self.answer.clone(), self.instead);
        }
        let task = request
            .messages
            .iter()
            .rfind(|message| message.role == Role::User)
            .map(|message| message.content.text())
            .unwrap_or_default();
        let said = said(&task);
        let is_json = self.answer.trim_start().starts_with('{');
        let mut answer = String::new();
        let mut rest = &*self.answer;
        // What a person says may look like a place.
        while let Some((before, place, after)) = next_place(rest) {
            let (name, length) = place;
            let text = match name {
                "{first_message}" => said.first().map(|text| Cow::Borrowed(text.as_str())),
                "{last_message}" => said.last().map(|text| Cow::Borrowed(text.as_str())),
                _ => question(&said),
            };
            let text = shorten(&text.unwrap_or_default(), length);
            answer.push_str(before);
            answer.push_str(&if is_json { quoted(&text) } else { text });
            rest = after;
        }
        answer.push_str(rest);
        (answer.into(), self.instead && !said.is_empty())
    }
}

/// The first place in a text, with what stands before and behind it.
fn next_place(text: &str) -> Option<(&str, (&'static str, usize), &str)> {
    let found = PLACES
        .iter()
        .filter_map(|place| Some((text.find(place.0)?, place)));
    let (at, place) = found.min_by_key(|(at, _)| *at)?;
    let (before, rest) = text.split_at(at);
    Some((before, *place, rest.strip_prefix(place.0)?))
}

/// What the person said in the chat that a task quotes, oldest first, each in one line.
fn said(task: &str) -> Vec<String> {
    let quoted = task
        .split_once("<chat_history>")
        .and_then(|(_, rest)| rest.rsplit_once("</chat_history>"));
    let mut said: Vec<String> = Vec::new();
    let mut speaks = false;
    for line in quoted.map_or("", |(history, _)| history).lines() {
        if let Some(begun) = line.strip_prefix("USER: ") {
            speaks = true;
            said.push(begun.trim().to_owned());
        } else if line.starts_with("ASSISTANT: ") {
            speaks = false;
        } else if let Some(text) = said.last_mut().filter(|_| speaks) {
            text.push(' ');
            text.push_str(line.trim());
        }
    }
    said.retain(|text| !text.trim().is_empty());
    said
}

/// The last question, with the one before it where it would not be understood alone.
fn question(said: &[String]) -> Option<Cow<'_, str>> {
    match said {
        [.., before, last] if last.split_whitespace().count() < FEW_WORDS => {
            Some(format!("{} {}", before.trim(), last.trim()).into())
        }
        [.., last] => Some(last.as_str().into()),
        [] => None,
    }
}

/// The first words of a text, in `length` characters at most.
fn shorten(text: &str, length: usize) -> String {
    let mut short = String::new();
    for word in text.split_whitespace() {
        let longer = short.chars().count() + 1 + word.chars().count();
        if !short.is_empty() && longer > length {
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    short.chars().take(length).collect()
}

/// A text as it stands in a JSON string.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.trim_start_matches('"')
        .strip_suffix('"')
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn request(history: &str) -> Request {
        let task = format!("### Task:\nA title.\n<chat_history>\n{history}\n</chat_history>");
        let body = json!({"model": "m", "messages": [{"role": "user", "content": task}]});
        crate::wire::openai::decode_chat(body.to_string().as_bytes()).unwrap_or_default()
    }

    fn fill(answer: &str, history: &str) -> (String, bool) {
        let fallback = Fallback {
            answer: answer.into(),
            instead: true,
        };
        let (answer, instead) = fallback.fill(&request(history));
        (answer.to_string(), instead)
    }

    #[test]
    fn what_was_said_stands_in_the_answer() {
        let history = "USER: How do\nheat \"pumps\" work?\nASSISTANT: They move heat.\nMuch.\nUSER: And cost?";
        let title = r#"{"title": "{first_message}"}"#;
        let expected = r#"{"title": "How do heat \"pumps\" work?"}"#.to_owned();
        assert_eq!(fill(title, history), (expected, true));
        let query = r#"{"queries": ["{last_question}"]}"#;
        let expected = r#"{"queries": ["How do heat \"pumps\" work? And cost?"]}"#.to_owned();
        assert_eq!(fill(query, history), (expected, true));
        assert_eq!(
            fill("{last_message}", history),
            ("And cost?".to_owned(), true)
        );
        let odd = "USER: Is {last_message} a place?\nUSER: Yes";
        let both = fill("{first_message} / {last_message}", odd);
        assert_eq!(both.0, "Is {last_message} a place? / Yes");
        let long = format!("USER: {}", "word ".repeat(40));
        assert_eq!(fill("{first_message}", &long).0, "word ".repeat(12).trim());
    }

    #[test]
    fn without_a_chat_the_model_is_asked() {
        let title = r#"{"title": "{first_message}"}"#;
        let nothing = (r#"{"title": ""}"#.to_owned(), false);
        assert_eq!(fill(title, "ASSISTANT: Hi"), nothing);
        assert_eq!(fill("{}", ""), ("{}".to_owned(), true));
    }

    proptest! {
        #[test]
        fn what_a_person_says_never_breaks_the_json(text in "\\PC{0,80}", more in ".{0,20}") {
            let (answer, _) = fill(r#"{"title": "{first_message}"}"#, &format!("USER: {text}\n{more}"));
            let parsed: Result<Value, _> = serde_json::from_str(&answer);
            prop_assert!(parsed.is_ok_and(|parsed| parsed["title"].is_string()), "{}", answer);
        }
    }
}
