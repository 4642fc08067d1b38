//! Answers that are changed on their way.

use std::{
    borrow::Cow,
    io::{self, Write},
    mem,
    time::Instant,
};

use bytes::BytesMut;
use flate2::write::GzDecoder;
use http::header;
use pingora_http::ResponseHeader;

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
    /// What an upstream's answer is; errors, codings other than gzip and other types pass as they come.
    pub(super) fn of(header: &ResponseHeader) -> Option<Self> {
        let value = |name| header.headers.get(name).map(|value| value.as_bytes());
        let encoded = value(header::CONTENT_ENCODING)
            .is_some_and(|coding| coding != b"identity" && !is_gzip(coding));
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

fn is_gzip(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"gzip")
}

/// An answer's text, whether it comes packed or not. No answer that is to be changed is asked for packed; some are all the same.
enum Text {
    AsItComes,
    Gzip(Box<GzDecoder<Vec<u8>>>),
}

impl Text {
    /// Takes the coding out of the header of an answer.
    fn of(header: &mut ResponseHeader) -> Self {
        let coding = header.remove_header(&header::CONTENT_ENCODING);
        if coding.is_some_and(|coding| is_gzip(coding.as_bytes())) {
            Self::Gzip(Box::new(GzDecoder::new(Vec::new())))
        } else {
            Self::AsItComes
        }
    }

    /// What a further piece of the answer says.
    fn read<'p>(&mut self, piece: &'p [u8]) -> io::Result<Cow<'p, [u8]>> {
        match self {
            Self::AsItComes => Ok(Cow::Borrowed(piece)),
            Self::Gzip(decoder) => {
                decoder.write_all(piece)?;
                decoder.flush()?;
                Ok(Cow::Owned(mem::take(decoder.get_mut())))
            }
        }
    }
}

fn not_gzip(error: &io::Error) -> String {
    format!("its answer is no gzip: {error}")
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
    mut header: ResponseHeader,
    edits: Edits,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let mut text = Text::of(&mut header);
    let mut body = BytesMut::new();
    loop {
        let piece = tokio::select! {
            piece = answer.read() => piece?,
            gone = exchange.client_gone() => return Err(gone),
            () = too_late(Some(&edits)) => return Err(answer.late().into()),
        };
        let Some(piece) = piece else { break };
        exchange.record.first_token.get_or_insert_with(Instant::now);
        let fault = match text.read(piece) {
            Ok(said) if body.len() + said.len() <= LARGEST => {
                body.extend_from_slice(&said);
                continue;
            }
            Ok(_) => "its answer is too long".to_owned(),
            Err(error) => not_gzip(&error),
        };
        return Err(answer.error(UpstreamFault::Garbage, &fault).into());
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
    mut header: ResponseHeader,
    edits: Edits,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let mut text = Text::of(&mut header);
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
        match text.read(piece) {
            Ok(said) => stream.push(&said, &mut out),
            Err(error) => {
                let error = answer.error(UpstreamFault::Garbage, &not_gzip(&error));
                return Err(error.into());
            }
        }
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
