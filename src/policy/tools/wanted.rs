//! Which tools a conversation asks for: by what people say when they want something done, and by the words that their
//! questions share with names and descriptions.

use std::{collections::HashMap, sync::LazyLock};

use serde_json::Value;

use super::intents::{self, INTENTS, Intent};
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
/// What counts for a tool. Words count by how few tools have them: in full where it is one tool's own, nothing where all
/// have it.
mod counts {
    /// All words of its name but the verb, each its share.
    pub(super) const NAME: f32 = 3.0;
    /// The verb that its name begins with: "write" alone wants no note.
    pub(super) const VERB: f32 = 0.7;
    /// A word of its description, and each time that stands there again.
    pub(super) const SAID: f32 = 1.0;
    pub(super) const SAID_AGAIN: f32 = 0.25;
    pub(super) const SAID_MOST: f32 = 1.3;
    /// An intent that the name serves, the description, or the verb alone.
    pub(super) const INTENT: f32 = 2.0;
    pub(super) const INTENT_SAID: f32 = 1.6;
    pub(super) const INTENT_VERB: f32 = 0.5;
}
/// What the words must reach for a tool to be wanted: those of its name, or two of its description.
const ENOUGH: f32 = 1.4;
/// In a long question single words say less: for each word above so many, this share more is needed.
const FEW_WORDS: usize = 4;
const MORE: f32 = 0.06;
/// Words of names that stand in many questions and mean something else; intents tell when they do not.
const COMMON: [&str; 2] = ["chat", "note"];
/// Words of a reason in the trace.
const REASONS: usize = 3;

/// That a tool is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Want {
    /// The number of the user message that asked for it last.
    pub(super) turn: usize,
    /// How strongly, in hundredths.
    strength: u32,
}

/// The words by which a tool is known.
pub(super) struct Known {
    /// Of its name, in order.
    pub(super) name: Vec<u64>,
    /// Of what its description says it is for.
    said: Vec<u64>,
}

impl Known {
    pub(super) fn of(tool: &Tool) -> Self {
        Self {
            name: prose::name_keys(&tool.name),
            said: prose::keys(purpose(&tool.definition)).collect(),
        }
    }

    /// What the intents count for the tool, and whether one of them wants it whatever else is said. A verb alone only
    /// says which of the wanted tools comes first.
    fn serves(&self, intents: &[usize]) -> (f32, bool) {
        let (mut score, mut is_meant) = (0.0, false);
        for intent in intents.iter().filter_map(|intent| SERVED.get(*intent)) {
            let is_in = |words: &[u64], keys: &[u64]| words.iter().any(|word| keys.contains(word));
            let strong = match (
                is_in(&intent.names, &self.name),
                is_in(&intent.described, &self.said),
            ) {
                (true, _) => counts::INTENT,
                (false, true) => counts::INTENT_SAID,
                (false, false) => 0.0,
            };
            score += strong;
            let verb = self.name.first();
            if verb.is_some_and(|verb| intent.verbs.contains(verb)) {
                score += counts::INTENT_VERB;
            }
            is_meant |= strong > 0.0;
        }
        (score, is_meant)
    }
}

/// The words of tools that serve each intent.
struct Served {
    names: Vec<u64>,
    described: Vec<u64>,
    verbs: Vec<u64>,
}

static SERVED: LazyLock<Vec<Served>> = LazyLock::new(|| {
    let keys = |words: &[&str]| words.iter().map(|word| prose::word_key(word)).collect();
    let served = |intent: &Intent| Served {
        names: keys(intent.names),
        described: keys(intent.described),
        verbs: keys(intent.verbs),
    };
    INTENTS.iter().map(served).collect()
});

/// How much each tool is wanted; `None` where nobody asked for it.
pub(super) fn wants(messages: &[Message], tools: &[Known]) -> Vec<Option<Want>> {
    let questions = messages.iter().filter(|message| message.role == Role::User);
    let count = questions.clone().count();
    let mut words = Words::default();
    let recent = questions.enumerate().skip(count.saturating_sub(TURNS));
    let turns: Vec<Turn> = recent
        .map(|(number, message)| words.read(number, message))
        .collect();
    for (index, tool) in tools.iter().enumerate() {
        words.hold_against(index, tool);
    }
    let mut wants = vec![None; tools.len()];
    let mut scores = vec![0.0; tools.len()];
    for turn in turns {
        scores.fill(0.0);
        for word in &turn.words {
            let rareness = words.rareness(*word, tools.len());
            for (tool, weight) in words.found.get(*word).into_iter().flatten() {
                if let Some(score) = scores.get_mut(*tool) {
                    *score += weight * rareness;
                }
            }
        }
        let more = turn.words.len().saturating_sub(FEW_WORDS) as f32;
        let enough = ENOUGH * (1.0 + MORE * more);
        for (tool, (want, score)) in tools.iter().zip(wants.iter_mut().zip(&scores)) {
            let (meant, is_meant) = tool.serves(&turn.intents);
            if is_meant || *score >= enough {
                let strength = ((score + meant) * 100.0) as u32;
                *want = Some(Want {
                    turn: turn.number,
                    strength,
                });
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

/// The words of a question that want a tool, for people.
pub(super) fn reason(messages: &[Message], want: Want, tool: &Known) -> String {
    let mut questions = messages.iter().filter(|message| message.role == Role::User);
    let Some(message) = questions.nth(want.turn) else {
        return String::new();
    };
    let mut reasons: Vec<&str> = Vec::new();
    let text = message.content.text();
    for end in ends(own_words(&text)) {
        let intents = intents::of(end);
        let serves = |(intent, _): &&(usize, &str)| tool.serves(&[*intent]).1;
        reasons.extend(intents.iter().filter(serves).map(|(_, phrase)| *phrase));
        let shared =
            tellers(end).filter(|(_, key)| tool.name.contains(key) || tool.said.contains(key));
        for (word, _) in shared {
            if !reasons.contains(&word) {
                reasons.push(word);
            }
        }
    }
    reasons.truncate(REASONS);
    reasons.join(", ")
}

/// A question.
struct Turn {
    /// Its number among the user messages.
    number: usize,
    /// The numbers of its words, each once.
    words: Vec<usize>,
    /// The places of its intents.
    intents: Vec<usize>,
}

/// The words of the questions, numbered, and the tools in which each was found.
#[derive(Default)]
struct Words {
    numbers: HashMap<u64, usize>,
    found: Vec<Vec<(usize, f32)>>,
}

impl Words {
    /// Numbers the words of a question.
    fn read(&mut self, number: usize, message: &Message) -> Turn {
        let mut words = Vec::new();
        let mut wanted = Vec::new();
        let mut read = |text: &str| {
            for end in ends(own_words(text)) {
                wanted.extend(intents::of(end).into_iter().map(|(intent, _)| intent));
                for (_, key) in tellers(end) {
                    let next = self.found.len();
                    let number = *self.numbers.entry(key).or_insert(next);
                    if number == next {
                        self.found.push(Vec::new());
                    }
                    words.push(number);
                }
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
        Turn {
            number,
            words,
            intents: wanted,
        }
    }

    /// Writes down which of the words stand in a tool's name and description.
    fn hold_against(&mut self, tool: usize, known: &Known) {
        let (verb, subjects) = match known.name.as_slice() {
            [verb, subjects @ ..] if !subjects.is_empty() => (Some(*verb), subjects),
            all => (None, all),
        };
        let common = COMMON.map(prose::word_key);
        for subject in subjects.iter().filter(|key| !common.contains(key)) {
            let share = counts::NAME / subjects.len() as f32;
            self.note(tool, *subject, share, share);
        }
        if let Some(verb) = verb {
            self.note(tool, verb, counts::VERB, counts::VERB);
        }
        for key in &known.said {
            self.note(tool, *key, counts::SAID, counts::SAID_MOST);
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
                *counted = counted.max((*counted + counts::SAID_AGAIN).min(most));
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

/// The words that may tell what is wanted; numbers do not.
fn tellers(text: &str) -> impl Iterator<Item = (&str, u64)> + '_ {
    prose::words(text).filter(|(word, _)| !word.starts_with(|c: char| c.is_ascii_digit()))
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

/// What a description says of a tool's purpose; behind that come examples of values.
fn purpose(definition: &Value) -> &str {
    let function = definition.get("function").unwrap_or(definition);
    let description = function.get("description").and_then(Value::as_str);
    let text = start(description.unwrap_or_default(), DESCRIPTION);
    let examples = ["Example", "example", "e.g."];
    let end = examples
        .iter()
        .filter_map(|word| text.find(word))
        .min()
        .unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}
