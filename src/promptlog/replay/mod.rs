//! Logged requests once more, through another set of rules and policies: what would change.
//!
//! Both sets decide about the request as it came, with the same facts about models, so that every difference is one of
//! the sets. Lengths are estimates from characters, as the policy engine's own are.

mod prefill;

use std::{collections::BTreeMap, mem, num::NonZero, ops::ControlFlow, sync::Arc, thread};

use serde::Serialize;

use super::{
    Content, Filter, NOBODY, Reader, StoreError,
    transcript::{Line, difference},
    weight,
};
use crate::{
    chat::Request,
    policy::{Class, Facts, Headers, Input, ModelFact, Outcome, Set},
};
use prefill::{Caches, Prompt};

/// What to run through what.
#[derive(Debug)]
pub struct Replay<'a> {
    /// The set to compare with.
    pub now: &'a Set,
    /// The set that might take its place.
    pub then: &'a Set,
    /// The models.
    pub facts: &'a Facts,
    /// The requests.
    pub filter: Filter,
    /// How many of them at most: the newest, in the order in which they came.
    pub limit: usize,
    /// How many of those that change are told one by one.
    pub examples: usize,
}

/// What would change.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Requests that both sets decided about.
    pub requests: usize,
    /// Requests without content, which nobody can decide about again.
    pub without_content: usize,
    /// Requests that are no conversations, so that rules change nothing of them, by their class.
    pub not_conversations: BTreeMap<String, usize>,
    /// Requests of which anything changes.
    pub changed: usize,
    /// Requests whose class changes.
    pub class: usize,
    /// Requests that another model answers.
    pub model: usize,
    /// Requests with another sampling profile.
    pub profile: usize,
    /// Requests whose prompt gets another text.
    pub text: usize,
    /// Requests whose prompt gets longer or shorter.
    pub length: usize,
    /// Requests that are refused by one set and not by the other.
    pub refused: usize,
    /// Sums over all requests with the present set.
    pub before: Load,
    /// Sums over all requests with the other.
    pub after: Load,
    /// The first requests that change.
    pub examples: Vec<Example>,
}

/// What prompts cost, estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Tokens of the prompts.
    pub prompt_tokens: u64,
    /// Of these, tokens that the model has to read, because its last prompt began differently.
    pub prefill_tokens: u64,
}

/// A request that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// The record.
    pub id: i64,
    /// What the present set makes of it.
    pub before: Verdict,
    /// What the other makes of it.
    pub after: Verdict,
    /// The change of the prompt.
    #[serde(serialize_with = "as_text")]
    pub difference: Vec<Line>,
}

/// What a set makes of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The class.
    pub class: &'static str,
    /// The rule that said so.
    pub by: Arc<str>,
    /// The model that answers, or [`NOBODY`] where the rules do.
    pub model: Arc<str>,
    /// The sampling profile.
    pub profile: Option<Arc<str>>,
    /// Tokens of the prompt; 0 where no model is asked, as where a rule refuses.
    pub prompt_tokens: u32,
    /// The rule that refuses it.
    pub refused_by: Option<Arc<str>>,
}

/// Requests that are decided about at a time.
const CHUNK: usize = 256;
/// Bytes of content that a chunk ends with. Each set may make a copy of it, and a prompt.
const CHUNK_BYTES: usize = 8 << 20;

impl Replay<'_> {
    /// Runs the requests; `step` hears now and then how many more have been gone through. No rule looks into an image:
    /// `reader` need not read them.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn run(
        &self,
        reader: &mut Reader,
        mut step: impl FnMut(usize),
    ) -> Result<Report, StoreError> {
        let mut tally = Tally::default();
        let mut chunk = Vec::new();
        let mut bytes = 0;
        let mut since = 0;
        let mut left = self.limit;
        let take = |chunk: &mut Vec<(i64, Content)>, tally: &mut Tally| {
            let judged = self.judge(chunk);
            for ((id, content), [now, then]) in chunk.iter().zip(judged) {
                tally.add(self, *id, content, now, then);
            }
            chunk.clear();
        };
        reader.each_of_newest(self.limit, &self.filter, |id, record| {
            let Some(more) = left.checked_sub(1) else {
                return ControlFlow::Break(());
            };
            left = more;
            since += 1;
            match record.content {
                // No rule knows these names.
                _ if Class::parse(&record.class).is_none() => {
                    let count = &mut tally.report.not_conversations;
                    *count.entry(record.class.into_owned()).or_default() += 1;
                }
                Some(content) => {
                    bytes += weight::of(&content);
                    chunk.push((id, content));
                }
                None => tally.report.without_content += 1,
            }
            if since == CHUNK || bytes >= CHUNK_BYTES {
                take(&mut chunk, &mut tally);
                step(mem::take(&mut since));
                bytes = 0;
            }
            ControlFlow::Continue(())
        })?;
        take(&mut chunk, &mut tally);
        step(since);
        Ok(tally.report)
    }

    /// Both sets' verdicts, on all processors.
    fn judge(&self, chunk: &[(i64, Content)]) -> Vec<[Judged; 2]> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = chunk.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let parts: Vec<_> = chunk
                .chunks(share)
                .map(|part| {
                    scope.spawn(move || {
                        let judged = part.iter().map(|(_, content)| {
                            [self.now, self.then].map(|set| Judged::by(set, self.facts, content))
                        });
                        judged.collect::<Vec<_>>()
                    })
                })
                .collect();
            // Deciding never panics: a failing rule is passed over.
            parts
                .into_iter()
                .flat_map(|part| part.join().unwrap_or_default())
                .collect()
        })
    }
}

/// A verdict and what it rests on.
struct Judged {
    verdict: Verdict,
    /// The rewritten request; `None` where it stays as it came.
    rewritten: Option<Request>,
    prompt: Prompt,
    /// Whether a model reads the prompt.
    is_read: bool,
}

impl Judged {
    fn by(set: &Set, facts: &Facts, content: &Content) -> Self {
        let header = |name: &str| {
            let header = content.headers.iter().find(|(known, _)| known == name);
            header.map(|(_, value)| value.as_str())
        };
        let Outcome {
            decision, request, ..
        } = set.decide(&Input {
            request: &content.before,
            headers: Headers::new(&header),
            facts,
        });
        let prompt = Prompt::of(request.as_ref().unwrap_or(&content.before));
        let rate = facts
            .model(&decision.model)
            .map(|model| model.chars_per_token);
        let rate = rate.unwrap_or(ModelFact::CHARS_PER_TOKEN);
        let is_asked = decision.queue.instead().is_none();
        let is_read = is_asked && decision.deny.is_none();
        Self {
            verdict: Verdict {
                class: decision.class.as_str(),
                by: decision.by,
                model: match is_asked {
                    true => decision.model,
                    false => NOBODY.into(),
                },
                profile: decision.profile,
                prompt_tokens: match is_read {
                    true => prompt.tokens(rate),
                    false => 0,
                },
                refused_by: decision.deny.map(|denial| denial.by),
            },
            is_read,
            rewritten: request,
            prompt,
        }
    }
}

#[derive(Default)]
struct Tally {
    report: Report,
    before: Caches,
    after: Caches,
}

impl Tally {
    fn add(&mut self, replay: &Replay<'_>, id: i64, content: &Content, now: Judged, then: Judged) {
        let report = &mut self.report;
        report.requests += 1;
        for (load, caches, judged) in [
            (&mut report.before, &mut self.before, &now),
            (&mut report.after, &mut self.after, &then),
        ] {
            if judged.is_read {
                let tokens = judged.verdict.prompt_tokens;
                let reused = caches.run(&judged.verdict.model, &judged.prompt, &content.answer);
                load.prompt_tokens += u64::from(tokens);
                load.prefill_tokens += judged.prompt.rest(tokens, reused);
            }
        }
        let (a, b) = (&now.verdict, &then.verdict);
        let text = now.prompt != then.prompt;
        let differences = [
            (a.class != b.class, &mut report.class),
            (a.model != b.model, &mut report.model),
            (a.profile != b.profile, &mut report.profile),
            (text, &mut report.text),
            (now.prompt.len() != then.prompt.len(), &mut report.length),
            (
                a.refused_by.is_some() != b.refused_by.is_some(),
                &mut report.refused,
            ),
        ];
        let mut changed = false;
        for (differs, count) in differences {
            *count += usize::from(differs);
            changed |= differs;
        }
        report.changed += usize::from(changed);
        if changed && report.examples.len() < replay.examples {
            let sent = |judged: &Judged| judged.rewritten.clone();
            let before = sent(&now).unwrap_or_else(|| (*content.before).clone());
            let after = sent(&then).unwrap_or_else(|| (*content.before).clone());
            report.examples.push(Example {
                id,
                difference: difference(&before, &after),
                before: now.verdict,
                after: then.verdict,
            });
        }
    }
}

fn as_text<S: serde::Serializer>(lines: &[Line], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(lines.iter().map(|line| match line {
        Line::Same(line) => format!("  {line}"),
        Line::Removed(line) => format!("- {line}"),
        Line::Added(line) => format!("+ {line}"),
        Line::Gap => "...".to_owned(),
    }))
}

#[cfg(test)]
mod tests;
