//! From the engine's progress to what a client is to be sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::Span;

use super::sse::Wait;
use crate::{
    chat::{
        Event, FinishReason, Timings, Usage,
        answer::{AnswerOptions, Assembler},
    },
    engine::{EngineError, Progress},
    gateway::{failure::Failure, observe::Record},
    telemetry::activity::{Phase, Ticket},
};

/// One answer in the making.
pub(super) struct Pieces {
    assembler: Assembler,
    events: Vec<Event>,
    prompt_tokens: u32,
    /// Tokens of the prompt that the KV cache holds.
    cached: u32,
    generated: u32,
    /// Whether the engine works for another request that asks the same, so that this one costs nothing.
    is_shared: bool,
    /// What to answer where the engine gives the job up.
    fallback: Option<Arc<str>>,
    /// Whether the answer is one piece of JSON.
    is_json: bool,
    /// Whether any text has been told.
    told: bool,
}

/// What a step of the engine means.
pub(super) enum News {
    /// The job waits.
    Waiting(Wait),
    /// The runtime has begun, or goes on, after waits of this time together.
    Started(Duration),
    /// There may be new events.
    Text,
    /// The answer is complete, the last events included.
    End(End),
}

/// How an answer ended.
pub(super) struct End {
    pub(super) reason: FinishReason,
    pub(super) usage: Usage,
    /// Known of runs that came to their own end.
    pub(super) timings: Option<Timings>,
    /// Whether it is the model's own answer, complete and of use.
    pub(super) is_useful: bool,
}

impl Pieces {
    pub(super) fn new(options: AnswerOptions, prompt_tokens: u32, is_shared: bool) -> Self {
        Self {
            fallback: options.fallback.clone(),
            is_json: options.json.is_some(),
            assembler: Assembler::new(options),
            events: Vec::new(),
            prompt_tokens,
            cached: 0,
            generated: 0,
            is_shared,
            told: false,
        }
    }

    /// Takes the next step of the engine; nothing means that it ended without a word.
    pub(super) fn take(
        &mut self,
        progress: Option<Progress>,
        record: &mut Record,
    ) -> Result<News, Failure> {
        if let Some(progress) = &progress {
            record.show(|ticket| show(progress, self.is_shared, ticket));
        }
        match progress {
            Some(Progress::Queued { ahead, wait }) => Ok(News::Waiting(Wait::queued(ahead, wait))),
            Some(Progress::Loading) => Ok(News::Waiting(Wait::Loading)),
            Some(Progress::Started(started)) => {
                let before = record.queued.replace(started.queued);
                if record.first_token.is_some() {
                    record.stood_back += started.queued.saturating_sub(before.unwrap_or_default());
                }
                record.sampling = Some(started.sampling);
                Ok(News::Started(started.queued))
            }
            Some(Progress::Reading { cached, miss }) => {
                self.cached = cached;
                record.miss = miss.filter(|_| !self.is_shared);
                Ok(News::Text)
            }
            Some(Progress::Piece { text, tokens }) => {
                record.first_token.get_or_insert_with(Instant::now);
                self.generated = self.generated.saturating_add(tokens);
                self.assembler.push(&text, tokens, &mut self.events);
                record.usage = Some(self.usage());
                if self.assembler.stopped() {
                    let usage = self.usage();
                    Ok(News::End(self.end(FinishReason::Stop, usage, None, record)))
                } else {
                    Ok(News::Text)
                }
            }
            Some(Progress::Done(completion)) if self.is_shared => {
                let usage = self.usage();
                Ok(News::End(self.end(completion.finish, usage, None, record)))
            }
            Some(Progress::Done(completion)) => {
                let span = Span::current();
                span.record("prefill_ms", millis(completion.prefill));
                span.record("decode_ms", millis(completion.decode));
                record.prefill = Some(completion.prefill);
                record.decode = Some(completion.decode);
                let usage = Usage {
                    reasoning: self.assembler.reasoning_tokens(),
                    ..completion.usage
                };
                let timings = Timings {
                    queued: record.queued.unwrap_or_default(),
                    prefill: completion.prefill,
                    decode: completion.decode,
                };
                let end = self.end(completion.finish, usage, Some(timings), record);
                Ok(News::End(end))
            }
            Some(Progress::Failed(error)) => self.without_the_engine(error, record),
            Some(Progress::Embedding(_)) | None => {
                tracing::error!("the engine ended a run without a result");
                Err(Failure::Internal)
            }
        }
    }

    /// The events since the last call. Text that came in one go is one event: a token each would cost the client's
    /// page more time than the engine took.
    pub(super) fn events(&mut self, record: &mut Record) -> std::vec::Drain<'_, Event> {
        self.events.dedup_by(|next, before| match (before, next) {
            (Event::Content(before), Event::Content(next))
            | (Event::Reasoning(before), Event::Reasoning(next)) => {
                before.push_str(next);
                true
            }
            _ => false,
        });
        self.told |= !self.events.is_empty();
        if let Some(journal) = &mut record.journal {
            journal.said(&self.events);
        }
        self.events.drain(..)
    }

    /// The answer where the engine has given the job up or has failed.
    ///
    /// # Errors
    /// The engine's, where the request is at fault, or there is nothing to say instead.
    fn without_the_engine(
        &mut self,
        error: EngineError,
        record: &mut Record,
    ) -> Result<News, Failure> {
        let given_up = match &error {
            EngineError::Withdrawn { .. } | EngineError::QueueFull { .. } => true,
            EngineError::Load { .. } | EngineError::Worker { .. } | EngineError::Run { .. } => {
                false
            }
            EngineError::UnknownModel { .. }
            | EngineError::ContextLength { .. }
            | EngineError::Unsupported(_)
            | EngineError::ShuttingDown => return Err(Failure::Engine(error)),
        };
        match self.instead(record) {
            Some(news) if given_up => Ok(news),
            Some(news) => {
                record.replaced = Some(Failure::Engine(error));
                Ok(news)
            }
            None => Err(Failure::Engine(error)),
        }
    }

    /// The answer without the engine: what it has said of the JSON as far as that can be saved, else the fallback.
    /// `None` where there is none, or other text has been told.
    fn instead(&mut self, record: &mut Record) -> Option<News> {
        let fallback = self.fallback.clone()?;
        // What the NPU has not touched has cost nothing.
        let usage = match record.queued {
            Some(_) => self.usage(),
            None => Usage::default(),
        };
        if self.is_json {
            return Some(News::End(End {
                is_useful: false,
                ..self.end(FinishReason::Stop, usage, None, record)
            }));
        }
        if self.told {
            return None;
        }
        self.events = vec![Event::Content(fallback.to_string())];
        record.usage = Some(usage);
        record.finish = Some(FinishReason::Stop);
        Some(News::End(End {
            reason: FinishReason::Stop,
            usage,
            timings: None,
            is_useful: false,
        }))
    }

    fn end(
        &mut self,
        reason: FinishReason,
        usage: Usage,
        timings: Option<Timings>,
        record: &mut Record,
    ) -> End {
        let reason = self.assembler.finish(reason, &mut self.events);
        record.usage = Some(usage);
        record.finish = Some(reason);
        record.notes = self.assembler.notes();
        End {
            reason,
            usage,
            timings,
            is_useful: !record.notes.is_makeshift(),
        }
    }

    /// What has been used so far, for answers that are cut short.
    fn usage(&self) -> Usage {
        if self.is_shared {
            return Usage {
                prompt: self.prompt_tokens,
                cached: self.prompt_tokens,
                ..Usage::default()
            };
        }
        Usage {
            prompt: self.prompt_tokens,
            cached: self.cached,
            completion: self.generated,
            reasoning: self.assembler.reasoning_tokens(),
        }
    }
}

/// Shows where a request is. One that shares an answer never has the NPU.
fn show(progress: &Progress, is_shared: bool, ticket: &Ticket) {
    match progress {
        Progress::Started(_) | Progress::Piece { .. } if is_shared => {}
        Progress::Queued { ahead, .. } => ticket.queued(*ahead),
        Progress::Loading => ticket.phase(Phase::Loading),
        Progress::Started(_) => ticket.phase(Phase::Running),
        Progress::Piece { tokens, .. } => ticket.tokens(*tokens),
        Progress::Reading { .. }
        | Progress::Embedding(_)
        | Progress::Done(_)
        | Progress::Failed(_) => {}
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chat::Sampling, engine::Started};

    #[test]
    fn the_waits_of_what_gave_way_add_up() {
        let mut record = Record::default();
        let mut pieces = Pieces::new(AnswerOptions::default(), 1, false);
        let started = |queued| {
            Progress::Started(Started {
                queued: Duration::from_secs(queued),
                sampling: Sampling::default(),
            })
        };
        let piece = Progress::Piece {
            text: "One".to_owned(),
            tokens: 1,
        };
        let gives_way = Progress::Queued {
            ahead: 1,
            wait: Duration::ZERO,
        };
        for step in [started(1), piece, gives_way, started(10)] {
            assert!(pieces.take(Some(step), &mut record).is_ok());
        }
        assert_eq!(record.queued, Some(Duration::from_secs(10)));
        assert_eq!(record.stood_back, Duration::from_secs(9));
    }

    #[test]
    fn text_that_comes_in_one_go_is_one_event() {
        let mut record = Record::default();
        let mut pieces = Pieces::new(AnswerOptions::default(), 1, false);
        for text in ["One", " go", "."] {
            let piece = Progress::Piece {
                text: text.to_owned(),
                tokens: 1,
            };
            assert!(matches!(
                pieces.take(Some(piece), &mut record),
                Ok(News::Text)
            ));
        }
        let events: Vec<Event> = pieces.events(&mut record).collect();
        assert_eq!(events, [Event::Content("One go.".to_owned())]);
        assert_eq!(record.usage.map(|usage| usage.completion), Some(3));
    }
}
