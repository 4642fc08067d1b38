//! Answers from the engine: a request is run, and its pieces are encoded as they come.

mod asked;
mod embed;
mod pieces;
mod shared;
mod source;
mod sse;

use std::sync::Arc;

use tokio::time::{self, MissedTickBehavior};

use super::{Gateway, decide::Decided, exchange::Exchange, failure::Failure, now, route::Call};
use crate::{
    chat::{Event, FinishReason, Usage, answer::Answer},
    engine::{EngineError, Job, ModelCard, Progress, Prompt},
    policy::Set,
    wire::openai,
};
use asked::Manner;
pub(super) use embed::embed;
use pieces::{End, News, Pieces};
use shared::Same;
pub(super) use shared::{SharedAnswers, Sharing};
use source::Source;
use sse::{EventStream, StatusLine};

/// Characters to a token that are reckoned with where the usual number has proved wrong, as with scripts that a
/// vocabulary hardly knows. Which of them holds for a conversation follows from its messages alone, so that its next turn
/// finds the same cuts.
const DENSER: [f32; 3] = [1.8, 0.9, 0.5];

/// Answers a request from the engine with this model.
pub(super) async fn answer(
    gateway: &Gateway,
    card: &ModelCard,
    decided: Decided,
    set: &Set,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let (submitted, manner) = submit(gateway, card, decided, set, exchange).await?;
    let opened = submitted.as_ref().is_ok_and(Source::thinking_opened);
    let options = manner.answer_options(opened, &exchange.id);
    match submitted {
        Ok(source) => {
            let (prompt_tokens, sharing) = (source.prompt_tokens(), source.sharing());
            exchange
                .record
                .show(|ticket| ticket.admitted(prompt_tokens));
            exchange.record.shared(sharing);
            let pieces = Pieces::new(options, prompt_tokens, sharing.is_some());
            if manner.stream {
                stream(gateway, &manner, source, pieces, exchange).await
            } else {
                collect(&manner, source, pieces, exchange).await
            }
        }
        Err(error) => {
            let mut pieces = Pieces::new(options, 0, false);
            let failed = Some(Progress::Failed(error));
            match pieces.take(failed, &mut exchange.record)? {
                News::End(end) if manner.stream => {
                    let mut events = EventStream::new(&manner, exchange);
                    events.add(pieces.events(&mut exchange.record));
                    end_stream(&manner, events, &end, exchange).await
                }
                News::End(end) => {
                    let answer = pieces.events(&mut exchange.record).collect();
                    respond(&manner, answer, &end, exchange).await
                }
                News::Waiting(_) | News::Started(_) | News::Text => Err(Failure::Internal),
            }
        }
    }
}

/// Answers a request as the rules say, without asking a model.
pub(super) async fn without_model(
    decided: &mut Decided,
    text: &str,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let manner = Manner::without_model(decided);
    let content = Event::Content(text.to_owned());
    if let Some(journal) = &mut exchange.record.journal {
        journal.came(|| Arc::new(std::mem::take(&mut decided.original)));
        journal.said(std::slice::from_ref(&content));
    }
    exchange.record.finish = Some(FinishReason::Stop);
    let end = End {
        reason: FinishReason::Stop,
        usage: Usage::default(),
        timings: None,
        is_useful: false,
    };
    if manner.stream {
        let mut events = EventStream::new(&manner, exchange);
        events.add(std::iter::once(content));
        end_stream(&manner, events, &end, exchange).await
    } else {
        respond(&manner, Answer::from_iter([content]), &end, exchange).await
    }
}

/// Queues a request. A conversation that turns out longer than the policy took it for is cut again.
async fn submit(
    gateway: &Gateway,
    card: &ModelCard,
    mut decided: Decided,
    set: &Set,
    exchange: &mut Exchange,
) -> Result<(Result<Source, EngineError>, Manner), Failure> {
    let mut denser = DENSER.into_iter();
    loop {
        let (job, manner) = asked::job(&decided, card, exchange);
        let submitted = tokio::select! {
            source = source(gateway, card, &decided, job, exchange) => source,
            gone = exchange.client_gone() => return Err(gone),
        };
        if let Err(EngineError::ContextLength { .. }) = submitted {
            let shorter = denser.find_map(|chars_per_token| {
                let facts = gateway
                    .models
                    .facts()
                    .with_density(&card.id, chars_per_token);
                let again = decided.again(&exchange.request().headers, set, &facts);
                (again.rewritten != decided.rewritten).then_some(again)
            });
            if let Some(shorter) = shorter {
                decided = shorter;
                if let Some(journal) = &mut exchange.record.journal {
                    journal.decided(&mut decided);
                }
                continue;
            }
        }
        return Ok((submitted, manner));
    }
}

/// Where the answer comes from: a run of its own, or one that is shared.
fn source<'a>(
    gateway: &'a Gateway,
    card: &ModelCard,
    decided: &Decided,
    job: Job,
    exchange: &Exchange,
) -> impl Future<Output = Result<Source, EngineError>> + use<'a> {
    let decision = &decided.decision;
    let shared = match (&decision.cache, &job.prompt) {
        (Some(cache), Prompt::Chat(sent)) => {
            let who = (exchange.record.key.as_deref(), &job.origin);
            let same = Same::new(exchange.generation, &card.id, who, decision, sent);
            same.key().map(|key| (key, cache.ttl))
        }
        _ => None,
    };
    async move {
        match shared {
            Some((key, ttl)) => {
                let follower = gateway.shared.follow(key, ttl, &gateway.engine, job);
                Source::follow(follower).await
            }
            None => gateway.engine.submit(job).await.map(Source::Own),
        }
    }
}

/// Sends an answer piece by piece.
///
/// The header waits for the first piece or the first heartbeat, so that what fails early has its own status.
async fn stream(
    gateway: &Gateway,
    manner: &Manner,
    mut source: Source,
    mut pieces: Pieces,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let mut status = StatusLine::new(exchange);
    let mut events = EventStream::new(manner, exchange);
    let settings = &gateway.settings;
    let first = time::Instant::now() + settings.first_heartbeat;
    let mut heartbeat = time::interval_at(first, settings.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut quiet = true;
    let end = loop {
        let mut end = None;
        tokio::select! {
            biased;
            gone = exchange.client_gone() => return Err(gone),
            progress = source.next() => {
                let mut next = Some(progress);
                // What has come meanwhile leaves in the same write.
                while let (Some(progress), None) = (next.take(), &end) {
                    match pieces.take(progress, &mut exchange.record) {
                        Ok(News::Waiting(what)) => status.waiting(what, &mut events),
                        Ok(News::Started(waited)) => status.over(waited, &mut events),
                        Ok(News::Text) => {}
                        Ok(News::End(how)) => end = Some(Ok(how)),
                        Err(failure) => end = Some(Err(failure)),
                    }
                    next = source.try_next().map(Some);
                }
                events.add(pieces.events(&mut exchange.record));
            }
            _ = heartbeat.tick() => {
                if quiet && exchange.may_begin() && !status.tell(&mut events) {
                    openai::write_heartbeat(&mut events.out);
                }
                quiet = true;
            }
        }
        match end {
            Some(Ok(end)) => break end,
            Some(Err(failure)) => {
                // Text that came before the failure stands, unless the failure can still have its own status.
                if events.begun {
                    events.send(exchange).await?;
                }
                return Err(failure);
            }
            // The sampling values in force are known with the start of the run, and stand in the header.
            None if !events.out.is_empty() && (events.begun || exchange.may_begin()) => {
                events.send(exchange).await?;
                quiet = false;
            }
            None => {}
        }
    };
    // Ends the run where a stop string ended the answer.
    source.settle(end.is_useful);
    end_stream(manner, events, &end, exchange).await
}

async fn end_stream(
    manner: &Manner,
    mut events: EventStream,
    end: &End,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    events.end(end, manner.include_usage);
    events.send(exchange).await?;
    exchange.finish().await
}

/// Sends an answer as a whole.
async fn collect(
    manner: &Manner,
    mut source: Source,
    mut pieces: Pieces,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let mut answer = Answer::default();
    let end = loop {
        let progress = tokio::select! {
            biased;
            gone = exchange.client_gone() => return Err(gone),
            progress = source.next() => progress,
        };
        let news = pieces.take(progress, &mut exchange.record)?;
        answer.extend(pieces.events(&mut exchange.record));
        if let News::End(end) = news {
            break end;
        }
    };
    source.settle(end.is_useful);
    respond(manner, answer, &end, exchange).await
}

async fn respond(
    manner: &Manner,
    mut answer: Answer,
    end: &End,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    if manner.drops_thinking() {
        // Text that turned out to be thinking after it had been told.
        answer.reasoning.clear();
    }
    let body = match manner.call {
        Call::Completion => openai::text_completion(
            &exchange.id,
            now(),
            &manner.model,
            &answer.content,
            end.reason,
            end.usage,
        ),
        Call::Chat | Call::Embeddings => openai::chat_completion(
            &exchange.id,
            now(),
            &manner.model,
            &answer,
            end.reason,
            end.usage,
        ),
    };
    exchange.respond_json(&body).await
}
