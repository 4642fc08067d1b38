//! Answers from the engine: a request is decoded, run, and its pieces are encoded as they come.

mod asked;
mod pieces;
mod sse;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::{self, MissedTickBehavior};

use super::{Gateway, exchange::Exchange, failure::Failure, route::Call};
use crate::{
    chat::answer::Answer,
    engine::{ModelCard, Run},
    wire::openai,
};
use asked::Manner;
use pieces::{News, Pieces};
use sse::{EventStream, StatusLine};

/// Answers a call from the engine with this model.
pub(super) async fn answer(
    gateway: &Gateway,
    card: &ModelCard,
    call: Call,
    body: Bytes,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let (job, manner) = asked::decode(call, &body, &exchange.id, card)?;
    // A body of many megabytes must not stay for as long as the answer takes.
    drop(body);
    let run = tokio::select! {
        run = gateway.engine.submit(job) => run?,
        gone = exchange.client_gone() => return Err(gone),
    };
    exchange
        .record
        .show(|ticket| ticket.admitted(run.prompt_tokens));
    let pieces = Pieces::new(manner.answer_options(&run, &exchange.id), run.prompt_tokens);
    if manner.stream {
        stream(gateway, &manner, run, pieces, exchange).await
    } else {
        collect(&manner, run, pieces, exchange).await
    }
}

/// Sends an answer piece by piece.
///
/// The header waits for the first piece or the first heartbeat, so that what fails early has its own status.
async fn stream(
    gateway: &Gateway,
    manner: &Manner,
    mut run: Run,
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
            progress = run.progress.recv() => {
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
                    next = run.progress.try_recv().ok().map(Some);
                }
                events.add(pieces.events());
            }
            _ = heartbeat.tick() => {
                if quiet && !status.tell(&mut events) {
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
            None if !events.out.is_empty() => {
                events.send(exchange).await?;
                quiet = false;
            }
            None => {}
        }
    };
    // Ends the run where a stop string ended the answer.
    drop(run);
    events.end(&end, manner.include_usage);
    events.send(exchange).await?;
    exchange.finish().await
}

/// Sends an answer as a whole.
async fn collect(
    manner: &Manner,
    mut run: Run,
    mut pieces: Pieces,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let mut answer = Answer::default();
    let end = loop {
        let progress = tokio::select! {
            biased;
            gone = exchange.client_gone() => return Err(gone),
            progress = run.progress.recv() => progress,
        };
        let news = pieces.take(progress, &mut exchange.record)?;
        answer.extend(pieces.events());
        if let News::End(end) = news {
            break end;
        }
    };
    drop(run);
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

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
