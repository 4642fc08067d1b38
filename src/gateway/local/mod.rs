//! Answers from the engine: a request is decoded, run, and its pieces are encoded as they come.

mod asked;
mod pieces;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::time::{self, MissedTickBehavior};

use super::{
    Gateway,
    exchange::{Exchange, response},
    failure::Failure,
    route::Call,
};
use crate::{
    chat::answer::Answer,
    engine::{ModelCard, Run},
    wire::openai::{self, ChunkEncoder},
};
use asked::Asked;
use pieces::{News, Pieces};

/// Answers a call from the engine with this model.
pub(super) async fn answer(
    gateway: &Gateway,
    card: &ModelCard,
    call: Call,
    body: &Bytes,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let asked = Asked::decode(call, body, card)?;
    let job = asked.job(&exchange.id, card);
    let run = tokio::select! {
        run = gateway.engine.submit(job) => run?,
        gone = exchange.client_gone() => return Err(gone),
    };
    let pieces = Pieces::new(asked.answer_options(&run, &exchange.id), run.prompt_tokens);
    if asked.stream {
        stream(gateway, &asked, run, pieces, exchange).await
    } else {
        collect(&asked, run, pieces, exchange).await
    }
}

/// Sends an answer piece by piece.
///
/// The header waits for the first piece or the first heartbeat, so that what fails early has its own status.
async fn stream(
    gateway: &Gateway,
    asked: &Asked,
    mut run: Run,
    mut pieces: Pieces,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let encoder = match asked.call {
        Call::Completion => ChunkEncoder::text(&exchange.id, now(), &asked.model),
        Call::Chat | Call::Embeddings => ChunkEncoder::chat(&exchange.id, now(), &asked.model),
    };
    let mut status = StatusLine::new(exchange);
    let settings = &gateway.settings;
    let mut heartbeat = time::interval_at(
        time::Instant::now() + settings.first_heartbeat,
        settings.heartbeat,
    );
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut quiet = true;
    let mut begun = false;
    let mut out = BytesMut::new();
    let end = loop {
        let mut end = None;
        tokio::select! {
            biased;
            gone = exchange.client_gone() => return Err(gone),
            progress = run.progress.recv() => {
                let mut next = Some(progress);
                // What has come meanwhile leaves in the same write.
                while let Some(progress) = next {
                    match pieces.take(progress, &mut exchange.record)? {
                        News::Waiting(what) => status.waiting(what, begun, &mut out),
                        News::Started => status.over(&mut out),
                        News::Text => {}
                        News::End(reason) => {
                            end = Some(reason);
                            break;
                        }
                    }
                    next = run.progress.try_recv().ok().map(Some);
                }
            }
            _ = heartbeat.tick() => {
                if quiet && !status.tell(&mut out) {
                    openai::write_heartbeat(&mut out);
                }
                quiet = true;
            }
        }
        for event in pieces.events() {
            if !begun && out.is_empty() {
                encoder.start(&mut out);
            }
            encoder.event(&event, &mut out);
        }
        if let Some(end) = end {
            break end;
        }
        if !out.is_empty() {
            send(exchange, &mut out, &mut begun).await?;
            quiet = false;
        }
    };
    // Ends the run where a stop string did.
    drop(run);
    encoder.finish(end.reason, &mut out);
    if asked.include_usage {
        encoder.usage(end.usage, &mut out);
    }
    openai::write_done(&mut out);
    send(exchange, &mut out, &mut begun).await?;
    exchange.finish().await
}

async fn send(
    exchange: &mut Exchange,
    out: &mut BytesMut,
    begun: &mut bool,
) -> Result<(), Failure> {
    if !*begun {
        *begun = true;
        let mut header = response(StatusCode::OK, "text/event-stream");
        super::exchange::set(
            &mut header,
            "cache-control",
            http::HeaderValue::from_static("no-cache"),
        );
        // nginx would hold tokens back otherwise.
        super::exchange::set(
            &mut header,
            "x-accel-buffering",
            http::HeaderValue::from_static("no"),
        );
        exchange.begin(header, None).await?;
    }
    exchange.write(out).await?;
    out.clear();
    Ok(())
}

/// Sends an answer as a whole.
async fn collect(
    asked: &Asked,
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
    let body = match asked.call {
        Call::Completion => openai::text_completion(
            &exchange.id,
            now(),
            &asked.model,
            &answer.content,
            end.reason,
            end.usage,
        ),
        Call::Chat | Call::Embeddings => openai::chat_completion(
            &exchange.id,
            now(),
            &asked.model,
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

/// The line above an answer that does not come yet, which Open WebUI shows and other clients do not know.
struct StatusLine {
    wanted: bool,
    /// What there is to say.
    description: Option<String>,
    shown: bool,
}

impl StatusLine {
    fn new(exchange: &Exchange) -> Self {
        let headers = &exchange.request().headers;
        // Both are set for tasks too, but a task has its name in the second.
        let wanted = match headers.get("x-openwebui-task") {
            Some(task) => task.is_empty(),
            None => headers.contains_key("x-openwebui-chat-id"),
        };
        Self {
            wanted,
            description: None,
            shown: false,
        }
    }

    /// Notes what the request waits for; says so at once where the stream has begun anyway.
    fn waiting(&mut self, what: String, begun: bool, out: &mut BytesMut) {
        self.description = Some(what);
        if begun {
            self.tell(out);
        }
    }

    /// Says what the request waits for. False if there is nothing to say or nobody to understand it.
    fn tell(&mut self, out: &mut BytesMut) -> bool {
        match &self.description {
            Some(description) if self.wanted => {
                openai::write_status(description, false, out);
                self.shown = true;
                true
            }
            _ => false,
        }
    }

    /// Ends the line, since the answer begins.
    fn over(&mut self, out: &mut BytesMut) {
        if let (true, Some(description)) = (self.shown, &self.description) {
            openai::write_status(description, true, out);
        }
        self.description = None;
        self.shown = false;
    }
}
