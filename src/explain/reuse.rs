//! How much of a prompt the model has read already, given the request before it.

use serde::Serialize;

use super::{
    Models, Question, Turn, Weighed,
    difference::transcript,
    follow::{self, Followed, RuleAt},
    prompt::{as_sent, length},
};
use crate::{
    chat::{Message, Request, Role},
    engine::worker::PromptReader,
    policy::{Estimate, Headers, ModelFact},
};

/// Tokens on each side of the first differing place that are quoted.
const QUOTED: usize = 12;

/// What of a prompt the model has read already, if the previous request was the last one that it ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reuse {
    /// Where the previous request is from.
    pub previous: Previous,
    /// Whether the figures are exact.
    pub exact: bool,
    /// What of the prompt is kept.
    pub kept: Kept,
    /// What would be kept if neither request were rewritten.
    pub unrewritten: Option<Kept>,
    /// Where the prompt differs from what the model holds; `None` where it only goes on from there.
    pub differs: Option<Differs>,
    /// What the figures rest on.
    pub notes: Vec<String>,
}

/// Where the previous request is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Previous {
    /// It was given.
    Given,
    /// This request without its last answer and what came after it.
    Derived,
}

/// Tokens of a prompt that need not be read again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Kept {
    /// So many.
    pub tokens: u32,
    /// In percent of the prompt, with one digit behind the point.
    pub percent: f32,
    /// The others, which have to be read.
    pub read: u32,
}

impl Kept {
    fn new(tokens: u32, prompt: u32) -> Self {
        let share = f64::from(tokens) / f64::from(prompt.max(1));
        Self {
            tokens,
            percent: ((share * 1000.0).round() / 10.0) as f32,
            read: prompt.saturating_sub(tokens),
        }
    }
}

/// The first place where a prompt differs from what the model holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Differs {
    /// `model`, `tools`, `messages[N]` of the request as it goes on, or `template`.
    pub place: String,
    /// Why, in words.
    pub why: String,
    /// The last that is the same.
    pub behind: String,
    /// What the model holds next.
    pub was: String,
    /// What the prompt says next.
    pub is: String,
    /// The rules that changed this place, now or before.
    pub rules: Vec<RuleAt>,
}

/// The request before this one, as this one tells it, and the answer in between. `None` for a conversation's first
/// request.
pub(super) fn derive(request: &Request) -> Option<(Request, Option<&Message>)> {
    let messages = &request.messages;
    let at = messages
        .iter()
        .rposition(|message| message.role == Role::Assistant)?;
    let before = messages.get(..at)?;
    before.iter().find(|message| message.role == Role::User)?;
    let previous = Request {
        messages: before.to_vec(),
        ..request.clone()
    };
    Some((previous, messages.get(at)))
}

/// The answer to a given previous request: the first of the model's messages behind as many user messages as it had.
fn answer_to<'r>(previous: &Request, request: &'r Request) -> Option<&'r Message> {
    let is_user = |message: &&Message| message.role == Role::User;
    let asked = previous.messages.iter().filter(is_user).count();
    let known = previous.messages.len();
    match request.messages.get(known) {
        Some(next) if next.role == Role::Assistant => Some(next),
        _ => {
            let mut users = 0;
            let behind = request.messages.iter().skip_while(|message| {
                users += usize::from(message.role == Role::User);
                users < asked || message.role != Role::Assistant
            });
            behind.take(1).next()
        }
    }
}

/// What is kept of the prompt of `now`. `None` where there was no request before it.
pub(super) fn reuse(
    question: &Question<'_>,
    now: &Weighed<'_>,
    model: Option<&ModelFact>,
    models: &Models<'_>,
) -> Option<Reuse> {
    let derived = derive(question.request);
    let (kind, request, headers, answer) = match (question.previous, &derived) {
        (Some(Turn { request, headers }), _) => {
            let answer = answer_to(request, question.request);
            (Previous::Given, request, headers, answer)
        }
        (None, Some((request, answer))) => (Previous::Derived, request, question.headers, *answer),
        (None, None) => return None,
    };
    let look_up = |name: &str| headers.get(name);
    let headers = Headers::new(&look_up);
    let before = question.weigh(Turn { request, headers });
    let comparison = Comparison {
        before: &before,
        now,
        answer,
        thought: answer.is_some_and(|answer| has_thought(answer, &before, model)),
    };
    let mut reuse = comparison.compare(kind, model, models)?;
    if kind == Previous::Derived {
        reuse.notes.push(
            "the previous request is taken from this one: what only it had, such as search results, is not in it"
                .to_owned(),
        );
    }
    Some(reuse)
}

/// Whether the model has thought before an answer and the request does not say what.
fn has_thought(answer: &Message, before: &Weighed<'_>, model: Option<&ModelFact>) -> bool {
    let thinks = before
        .sent
        .thinking
        .unwrap_or(model.is_some_and(|model| model.thinking));
    thinks && answer.reasoning.is_none() && !answer.content.text().contains("</think>")
}

struct Comparison<'a> {
    before: &'a Weighed<'a>,
    now: &'a Weighed<'a>,
    answer: Option<&'a Message>,
    /// Whether what the model holds of the answer begins with thinking that nobody knows.
    thought: bool,
}

impl Comparison<'_> {
    fn compare(
        &self,
        previous: Previous,
        model: Option<&ModelFact>,
        models: &Models<'_>,
    ) -> Option<Reuse> {
        let (was, is) = (
            &self.before.outcome.decision.model,
            &self.now.outcome.decision.model,
        );
        let reader = models.reader(model).ok();
        let unrewritten = |reader: &PromptReader| {
            let (before, now) = (&self.before.unrewritten, &self.now.unrewritten);
            let read = self.read(reader, before, now).ok()?;
            Some(read.kept())
        };
        let read = reader
            .as_ref()
            .and_then(|reader| self.read(reader, &self.before.sent, &self.now.sent).ok());
        if was != is {
            let tokens = read.as_ref().map_or_else(
                || Estimate::of(&self.now.sent, model).prompt,
                |read| length(&read.prompt),
            );
            return Some(Reuse {
                previous,
                exact: true,
                kept: Kept::new(0, tokens),
                unrewritten: None,
                differs: Some(Differs {
                    place: "model".to_owned(),
                    why: format!("{was} answered the previous request, {is} answers this one"),
                    behind: String::new(),
                    was: was.to_string(),
                    is: is.to_string(),
                    rules: Vec::new(),
                }),
                notes: Vec::new(),
            });
        }
        let Some((reader, read)) = reader.as_deref().zip(read) else {
            return Some(self.estimate(previous, model));
        };
        Some(Reuse {
            previous,
            exact: true,
            kept: read.kept(),
            unrewritten: unrewritten(reader),
            differs: read.differs(reader).map(|quote| self.differs(quote)),
            notes: Vec::new(),
        })
    }

    /// What the model holds after the previous request, and what it is to read now.
    fn read(&self, reader: &PromptReader, before: &Request, now: &Request) -> Result<Read, String> {
        let read = reader.read(before)?;
        let mut held = read.ids;
        let unknown = self.answer.is_some() && (self.thought || read.thinking_opened);
        if let Some(answer) = self.answer.filter(|_| !unknown) {
            held.extend(reader.answer(before, answer)?);
        }
        Ok(Read {
            held,
            unknown,
            prompt: reader.read(now)?.ids,
        })
    }

    /// Without a tokenizer: by the characters that both requests begin with.
    fn estimate(&self, previous: Previous, model: Option<&ModelFact>) -> Reuse {
        let kept = |before: &Request, now: &Request| {
            let answer = self.answer.filter(|_| !self.thought);
            let (held, prompt) = (text(before, answer), text(now, None));
            let same = common(&held, &prompt);
            let tokens = Estimate::of(now, model).prompt;
            let share = same as f64 / prompt.len().max(1) as f64;
            let kept = Kept::new((f64::from(tokens) * share) as u32, tokens);
            let quote = |text: &str| text.chars().take(QUOTED * 4).collect();
            let quote = (same < held.len()).then(|| Quote {
                behind: tail(prompt.get(..same).unwrap_or_default(), QUOTED * 4),
                was: quote(held.get(same..).unwrap_or_default()),
                is: quote(prompt.get(same..).unwrap_or_default()),
            });
            (kept, quote)
        };
        let (rewritten, quote) = kept(&self.before.sent, &self.now.sent);
        Reuse {
            previous,
            exact: false,
            kept: rewritten,
            unrewritten: Some(kept(&self.before.unrewritten, &self.now.unrewritten).0),
            differs: quote.map(|quote| self.differs(quote)),
            notes: Vec::new(),
        }
    }

    /// Finds out who made the difference.
    fn differs(&self, Quote { behind, was, is }: Quote) -> Differs {
        let (before, now) = (&self.before.sent, &self.now.sent);
        let (old, old_tools) = follow::follow(
            self.before.request.messages.len(),
            &self.before.outcome.trace,
        );
        let (new, new_tools) =
            follow::follow(self.now.request.messages.len(), &self.now.outcome.trace);
        let mut rules: Vec<RuleAt> = Vec::new();
        let mut blame = |found: &[RuleAt]| {
            for rule in found {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        };
        let held = before.messages.iter().chain(self.answer);
        let differing = held
            .zip(&now.messages)
            .position(|(held, now)| transcript(held) != transcript(now) || held.role != now.role);
        let (place, why) = if before.tools != now.tools {
            blame(&old_tools);
            blame(&new_tools);
            let why = if self.before.request.tools == self.now.request.tools {
                "the rules keep other tools than in the previous request"
            } else {
                "the client offers other tools than in the previous request"
            };
            ("tools".to_owned(), why)
        } else if let Some(index) = differing {
            let (old, new) = (old.get(index), new.get(index));
            let from = |followed: Option<&Followed>| followed.and_then(|message| message.from);
            let message = |request: &'_ Request, from: Option<usize>| {
                from.and_then(|from| request.messages.get(from)).cloned()
            };
            let same = from(old) == from(new)
                && message(self.before.request, from(old)) == message(self.now.request, from(new));
            for followed in [old, new].into_iter().flatten() {
                blame(&followed.rules);
            }
            let is_answer = index == before.messages.len();
            let why = match (is_answer, same, rules.is_empty()) {
                (_, _, true) => "the client's own request differs here from the previous one",
                (true, ..) => "the rules write the answer in another way than the model did",
                (_, true, _) => "the same message of the client came out differently",
                (_, false, _) => "rules changed or moved this message",
            };
            (format!("messages[{index}]"), why)
        } else {
            let why = "the messages only grew; the model's chat template writes this place differently in the later \
                       prompt";
            ("template".to_owned(), why)
        };
        Differs {
            place,
            why: why.to_owned(),
            behind,
            was,
            is,
            rules,
        }
    }
}

/// What the model holds, and what it is to read.
struct Read {
    held: Vec<u32>,
    /// Whether the model holds more behind that, and nobody knows what.
    unknown: bool,
    prompt: Vec<u32>,
}

/// The place where they part.
struct Quote {
    behind: String,
    was: String,
    is: String,
}

impl Read {
    fn kept(&self) -> Kept {
        let tokens = PromptReader::reusable(&self.held, &self.prompt);
        Kept::new(tokens, length(&self.prompt))
    }

    /// `None` where all that the model holds is kept.
    fn differs(&self, reader: &PromptReader) -> Option<Quote> {
        let both = self.held.iter().zip(&self.prompt);
        let same = both.take_while(|(held, prompt)| held == prompt).count();
        let all = same == self.held.len();
        if all && !self.unknown {
            return None;
        }
        let quote = |ids: &[u32], from: usize, to: usize| {
            let end = to.min(ids.len());
            reader.text(ids.get(from.min(end)..end).unwrap_or_default())
        };
        Some(Quote {
            behind: quote(&self.prompt, same.saturating_sub(QUOTED), same),
            was: if all {
                "(what the model thought before its answer; the request does not tell it)"
                    .to_owned()
            } else {
                quote(&self.held, same, same + QUOTED)
            },
            is: quote(&self.prompt, same, same + QUOTED),
        })
    }
}

/// A request as one text, with the answer to it.
fn text(request: &Request, answer: Option<&Message>) -> String {
    let pieces = as_sent(request);
    let mut text: String = pieces.into_iter().map(|piece| piece.text).collect();
    if let Some(answer) = answer {
        text.push_str(&format!("[assistant] {}\n", transcript(answer)));
    }
    text
}

/// Bytes that both texts begin with; whole characters.
fn common(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

/// The last characters of a text.
fn tail(text: &str, chars: usize) -> String {
    let skip = text.chars().count().saturating_sub(chars);
    text.chars().skip(skip).collect()
}
