//! Two prompts side by side: how far the later one is what the model holds, and who made the difference.

use super::{Differs, Kept, Previous, Reuse};
use crate::{
    chat::{Message, Request, Role},
    engine::worker::PromptReader,
    explain::{
        Models, Weighed,
        difference::transcript,
        follow::{self, Followed, RuleAt},
        prompt::{as_sent, length},
    },
    policy::{Estimate, ModelFact},
};

/// Tokens on each side of the first differing place that are quoted.
const QUOTED: usize = 12;

/// A request, the one before it and the answer in between.
pub(super) struct Comparison<'a> {
    pub(super) before: &'a Weighed<'a>,
    pub(super) now: &'a Weighed<'a>,
    pub(super) answer: Option<&'a Message>,
    /// Whether what the model holds of the answer begins with thinking that nobody knows.
    pub(super) thought: bool,
}

impl Comparison<'_> {
    pub(super) fn compare(
        &self,
        previous: Previous,
        model: Option<&ModelFact>,
        models: &Models<'_>,
    ) -> Reuse {
        let reader = models.reader(model).ok();
        let (before, now) = (self.before, self.now);
        let read = reader
            .as_deref()
            .and_then(|reader| Some((reader, self.read(reader, &before.sent, &now.sent).ok()?)));
        let reuse = match &read {
            None => self.estimate(previous, model),
            Some((reader, read)) => Reuse {
                previous,
                exact: true,
                kept: read.kept(),
                unrewritten: self
                    .read(reader, &before.unrewritten, &now.unrewritten)
                    .ok()
                    .map(|read| read.kept()),
                differs: read.differs(reader).map(|quote| self.differs(quote)),
                notes: Vec::new(),
            },
        };
        let (was, is) = (&before.outcome.decision.model, &now.outcome.decision.model);
        if was == is {
            return reuse;
        }
        Reuse {
            kept: Kept::new(0, reuse.kept.tokens + reuse.kept.read),
            unrewritten: None,
            differs: Some(Differs {
                place: "model".to_owned(),
                why: format!("{was} answered the previous request, {is} answers this one"),
                behind: String::new(),
                was: was.to_string(),
                is: is.to_string(),
                rules: Vec::new(),
            }),
            ..reuse
        }
    }

    /// What the model holds after the previous request, and what it is to read now.
    fn read(&self, reader: &PromptReader, before: &Request, now: &Request) -> Result<Read, String> {
        // The answers before: their ids stand in both prompts as the model said them.
        for (index, answer) in before.messages.iter().enumerate() {
            if answer.role == Role::Assistant && !self.thought {
                let asked = Request {
                    messages: before.messages.get(..index).unwrap_or_default().to_vec(),
                    ..before.clone()
                };
                // One that cannot be told is read as text.
                let _ = reader.answer(&asked, answer);
            }
        }
        let read = reader.read(before)?;
        let mut held = read.ids;
        let known = !self.thought && !read.thinking_opened;
        let unknown = match self.answer.filter(|_| known) {
            None => self.answer.is_some(),
            // An answer that cannot be told from later prompts counts as unread.
            Some(answer) => match reader.answer(before, answer) {
                Ok(answer) => {
                    held.extend(answer);
                    false
                }
                Err(_) => true,
            },
        };
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
