//! Which tools a conversation asks for, by the words that its questions share with names and descriptions.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    chat::{Content, Message, Part, Role, Tool},
    policy::prose,
};

/// User messages that are looked at, from the last one back. A tool that nobody has asked for in so many turns goes.
const TURNS: usize = 16;
/// A question is looked for at either end of a message, in so many bytes each: what stands between is pasted.
const END: usize = 240;
/// Of a description so many bytes tell what a tool is for.
const DESCRIPTION: usize = 480;
/// How often a word of a description counts at most.
const REPEATS: f32 = 2.5;
/// What a word of the name counts, compared with one of the description, or the beginning of one: "time" finds
/// `get_current_timestamp`.
const NAME: f32 = 3.0;
/// What a tool must reach to be wanted: a word of its name, or two of its description. A word counts by how few tools
/// have it: in full where it is one tool's own, nothing where all have it.
const ENOUGH: f32 = 1.4;

/// When a tool was asked for last, as the number of the user message, and how strongly, in hundredths.
pub(super) type Want = (usize, u32);

/// How much each tool is wanted; `None` where nobody asked for it.
pub(super) fn wants(messages: &[Message], tools: &[Tool]) -> Vec<Option<Want>> {
    let questions = messages.iter().filter(|message| message.role == Role::User);
    let count = questions.clone().count();
    let mut words = Words::default();
    let recent = questions.enumerate().skip(count.saturating_sub(TURNS));
    let turns: Vec<(usize, Vec<usize>)> = recent
        .map(|(turn, message)| (turn, words.read(message)))
        .collect();
    for (index, tool) in tools.iter().enumerate() {
        words.hold_against(index, tool);
    }
    let mut wants = vec![None; tools.len()];
    let mut scores = vec![0.0; tools.len()];
    for (turn, words_of_turn) in turns {
        scores.fill(0.0);
        for word in words_of_turn {
            for (tool, weight) in words.found.get(word).into_iter().flatten() {
                if let Some(score) = scores.get_mut(*tool) {
                    *score += weight * words.rareness(word, tools.len());
                }
            }
        }
        for (want, score) in wants.iter_mut().zip(&scores) {
            if *score >= ENOUGH {
                *want = Some((turn, (score * 100.0) as u32));
            }
        }
    }
    wants
}

/// Whether each tool's name stands in a text. A name that is an ordinary word is no mention.
pub(super) fn named(text: &str, tools: &[Tool]) -> Vec<bool> {
    let joins = |c: char| matches!(c, '_' | '-');
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric() && !joins(c))
        .filter(|word| word.contains(joins))
        .collect();
    let is_named = |tool: &Tool| {
        words
            .iter()
            .any(|word| word.eq_ignore_ascii_case(&tool.name))
    };
    tools.iter().map(is_named).collect()
}

/// The words of the questions, numbered, and the tools in which each was found.
#[derive(Default)]
struct Words {
    numbers: HashMap<u64, usize>,
    found: Vec<Vec<(usize, f32)>>,
}

impl Words {
    /// Numbers the words of a question.
    fn read(&mut self, message: &Message) -> Vec<usize> {
        let mut words = Vec::new();
        let mut read = |text: &str| {
            for key in ends(own_words(text)).into_iter().flat_map(prose::keys) {
                let next = self.found.len();
                let number = *self.numbers.entry(key).or_insert(next);
                if number == next {
                    self.found.push(Vec::new());
                }
                words.push(number);
            }
        };
        match &message.content {
            Content::Text(text) => read(text),
            Content::Parts(parts) => {
                for part in parts {
                    if let Part::Text(text) = part {
                        read(text);
                    }
                }
            }
        }
        words.sort_unstable();
        words.dedup();
        words
    }

    /// Writes down which of the words stand in a tool's name and description.
    fn hold_against(&mut self, tool: usize, definition: &Tool) {
        let name = prose::name_keys(&definition.name);
        for (place, (key, starts)) in name.iter().enumerate() {
            // The first word of a long name is what is done, not what with: "write" alone wants no note.
            let weight = if place > 0 || name.len() == 1 {
                NAME
            } else {
                1.0
            };
            self.note(tool, *key, weight, weight);
            for start in starts {
                self.note(tool, *start, NAME, NAME);
            }
        }
        let description = start(description(&definition.definition), DESCRIPTION);
        for key in prose::keys(description) {
            self.note(tool, key, 1.0, REPEATS);
        }
    }

    /// Adds to what a word counts for a tool, up to `most`.
    fn note(&mut self, tool: usize, key: u64, weight: f32, most: f32) {
        let Some(found) = self
            .numbers
            .get(&key)
            .and_then(|number| self.found.get_mut(*number))
        else {
            return;
        };
        match found.last_mut() {
            Some((last, counted)) if *last == tool => {
                *counted = counted.max((*counted + weight).min(most))
            }
            _ => found.push((tool, weight)),
        }
    }

    /// From 0 for a word that all tools have to 1 for one tool's own; of few tools every one has words of its own.
    fn rareness(&self, word: usize, tools: usize) -> f32 {
        let spread = self.found.get(word).map_or(1, Vec::len).max(1) as f32;
        if tools > 1 {
            (tools as f32 / spread).ln() / (tools as f32).ln()
        } else {
            1.0
        }
    }
}

/// A message behind what Open WebUI puts before the question: file names and ids ask for no tool.
fn own_words(text: &str) -> &str {
    const CLOSING: [&str; 3] = ["</context>", "</attached_files>", "</memory_context>"];
    let end = |tag: &&str| Some(text.rfind(*tag)? + tag.len());
    let from = CLOSING.iter().filter_map(end).max().unwrap_or(0);
    text.get(from..).unwrap_or_default()
}

/// Where the question may be: either end of a long text, only the end where documents come first.
fn ends(text: &str) -> [&str; 2] {
    if text.len() <= 2 * END {
        return [text, ""];
    }
    let mut from = text.len() - END;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let tail = text.get(from..).unwrap_or_default();
    if text.contains("<source") {
        [tail, ""]
    } else {
        [start(text, END), tail]
    }
}

fn start(text: &str, max: usize) -> &str {
    let mut to = max.min(text.len());
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    text.get(..to).unwrap_or_default()
}

fn description(definition: &Value) -> &str {
    let function = definition.get("function").unwrap_or(definition);
    function
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
}
