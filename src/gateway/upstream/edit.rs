//! Answers that are changed on their way.

use bytes::BytesMut;
use http::header;
use pingora_http::ResponseHeader;
use std::time::Instant;

use super::{UpstreamFault, relay::Answer};
use crate::{
    chat::answer::AnswerOptions,
    gateway::{exchange::Exchange, failure::Failure},
    wire::openai::{AnswerStream, rewrite_answer},
};

/// Largest answer that is read as a whole, in bytes.
const LARGEST: usize = 16 << 20;

/// What is to be done to an answer.
pub(in crate::gateway) struct Edits {
    /// What the rules want.
    pub(in crate::gateway) options: AnswerOptions,
    /// The model's name as the client is to read it; `None` leaves the upstream's.
    pub(in crate::gateway) model: Option<String>,
    /// When the answer has to be there.
    pub(in crate::gateway) deadline: Option<tokio::time::Instant>,
}

/// The kinds of answers that can be changed.
pub(super) enum Editable {
    Whole,
    Stream,
}

impl Editable {
    /// What an upstream's answer is; errors, encoded answers and other types pass as they come.
    pub(super) fn of(header: &ResponseHeader) -> Option<Self> {
        let value = |name| header.headers.get(name).map(|value| value.as_bytes());
        let encoded = value(header::CONTENT_ENCODING).is_some_and(|coding| coding != b"identity");
        if !header.status.is_success() || encoded {
            return None;
        }
        let kind = value(header::CONTENT_TYPE)?;
        let is = |name: &[u8]| {
            kind.get(..name.len())
                .is_some_and(|kind| kind.eq_ignore_ascii_case(name))
        };
        if is(b"text/event-stream") {
            Some(Self::Stream)
        } else {
            is(b"application/json").then_some(Self::Whole)
        }
    }
}

/// Waits until an answer has to be there; for ever where there is no such time.
pub(super) async fn too_late(edits: Option<&Edits>) {
    match edits.and_then(|edits| edits.deadline) {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Relays an answer that comes as a whole.
pub(super) async fn whole(
    mut answer: Answer<'_>,
    header: ResponseHeader,
    edits: Edits,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let mut body = BytesMut::new();
    loop {
        let piece = tokio::select! {
            piece = answer.read() => piece?,
            gone = exchange.client_gone() => return Err(gone),
            () = too_late(Some(&edits)) => return Err(answer.late().into()),
        };
        let Some(piece) = piece else { break };
        exchange.record.first_token.get_or_insert_with(Instant::now);
        if body.len() + piece.len() > LARGEST {
            let error = answer.error(UpstreamFault::Garbage, "its answer is too long");
            return Err(error.into());
        }
        body.extend_from_slice(piece);
    }
    answer.release().await;
    let Edits { options, model, .. } = edits;
    let (body, notes) = rewrite_answer(&body.freeze(), options, model.as_deref());
    exchange.record.notes = notes;
    exchange.respond(header, &body).await
}

/// Relays an answer that comes as a stream.
pub(super) async fn stream(
    mut answer: Answer<'_>,
    header: ResponseHeader,
    edits: Edits,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    exchange.begin(header, None).await?;
    let mut stream = AnswerStream::new(edits.options, edits.model);
    let mut out = BytesMut::new();
    while !stream.ended() {
        let piece = tokio::select! {
            piece = answer.read() => piece?,
            gone = exchange.client_gone() => return Err(gone),
        };
        let Some(piece) = piece else { break };
        exchange.record.first_token.get_or_insert_with(Instant::now);
        stream.push(piece, &mut out);
        exchange.write(&out).await?;
        out.clear();
    }
    let cut = stream.ended();
    exchange.record.notes = stream.finish(&mut out);
    exchange.write(&out).await?;
    exchange.finish().await?;
    // An upstream that goes on talking is left with its connection.
    if !cut {
        answer.release().await;
    }
    Ok(())
}
