//! An upstream's answer, read for the log alone.
//!
//! A stream is read as it passes, while each piece is at hand; kept until the writer comes to it, it would take many
//! times the room of what it says. Everything else waits for its end and is the writer's to read.

mod chunk;
mod frame;

use std::{
    io::{self, Read},
    mem,
};

use flate2::read::MultiGzDecoder;

use super::Record;
use crate::chat::{Usage, answer::Answer};
use chunk::Chunks;
use frame::Events;

/// Largest answer that is kept, in bytes, unpacked; what comes after is not.
const LARGEST: usize = 8 << 20;

/// An upstream's answer as it comes.
#[derive(Debug, Default)]
pub struct ReplyBody {
    is_stream: bool,
    coding: Coding,
    /// What is to be read yet, as it is packed; of a stream, what nothing could be read of.
    body: Vec<u8>,
    is_cut: bool,
    events: Events,
    chunks: Chunks,
}

/// How an answer is packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Coding {
    /// It is not.
    #[default]
    Identity,
    /// As gzip.
    Gzip,
    /// In another way, of which nothing can be read.
    Other(String),
}

/// What an answer says.
#[derive(Debug, Clone, Default, PartialEq)]
struct Reply {
    /// Text, thinking, calls. Where the answer is none that can be read, its body as text.
    answer: Answer,
    /// Why it ended.
    finish: Option<String>,
    usage: Option<Usage>,
    /// Why it, or a part of it, could not be read.
    unread: Option<String>,
}

impl ReplyBody {
    /// An answer of which nothing has come: a stream of events, or else one JSON object.
    #[must_use]
    pub fn new(is_stream: bool, coding: Coding) -> Self {
        Self {
            is_stream,
            coding,
            ..Self::default()
        }
    }

    /// Takes the next piece; of an answer that is longer than 8 MiB, the beginning.
    pub fn push(&mut self, piece: &[u8]) {
        if self.events.pass(piece, &mut self.chunks) || matches!(self.coding, Coding::Other(_)) {
            return;
        }
        let is_read_at_once = self.is_read_at_once();
        let taken = if is_read_at_once {
            self.events.taken()
        } else {
            self.body.len()
        };
        let room = LARGEST.saturating_sub(taken);
        self.is_cut |= piece.len() > room;
        let piece = piece.get(..room).unwrap_or(piece);
        if is_read_at_once {
            self.events.push(piece, &mut self.chunks);
            if self.chunks.found() {
                self.body = Vec::new();
                return;
            }
        }
        self.body.extend_from_slice(piece);
    }

    /// Lets go of what only the next piece would have needed.
    pub(super) fn end(&mut self) {
        mem::take(&mut self.events).finish(&mut self.chunks);
    }

    /// Bytes of memory that it takes after its end, roughly.
    pub(super) fn weight(&self) -> usize {
        self.body.len() + self.chunks.weight()
    }

    /// Reads what is left to read, and tells a record what the answer says; what is known better already stays.
    pub(super) fn read_into(self, record: &mut Record) {
        let is_stream = self.is_stream;
        let reply = self.read();
        // The body tells of the failure, or was left in its middle.
        let is_known = record.error.is_some() && !is_stream && reply.unread.is_some();
        record.finish = record.finish.take().or(reply.finish.map(Into::into));
        record.usage = record.usage.or(reply.usage);
        if let Some(content) = &mut record.content
            && !is_known
        {
            content.answer = reply.answer;
            content.unread = reply.unread;
        }
    }

    fn is_read_at_once(&self) -> bool {
        self.is_stream && self.coding == Coding::Identity
    }

    /// What the answer says: as much of it as can be read.
    fn read(mut self) -> Reply {
        let body = match self.unpack() {
            Ok(body) => body,
            Err(why) => {
                return Reply {
                    unread: Some(why),
                    ..Reply::default()
                };
            }
        };
        self.end();
        let (is_stream, mut chunks) = (self.is_stream, mem::take(&mut self.chunks));
        if !is_stream {
            chunks.take(&body);
        } else if !self.is_read_at_once() {
            let mut events = Events::default();
            events.push(&body, &mut chunks);
            events.finish(&mut chunks);
        }
        let found = chunks.found();
        let is_valid = chunks.is_valid();
        let mut reply = chunks.into_reply();
        reply.unread = if !found && body.is_empty() {
            None
        } else if self.is_cut {
            Some(format!("it is longer than {} MiB", LARGEST >> 20))
        } else if !found && is_stream {
            Some("it is a stream of something else than chat chunks".to_owned())
        } else if !found {
            Some("it is no JSON with choices".to_owned())
        } else {
            (!is_valid).then(|| "it is no valid UTF-8".to_owned())
        };
        if reply.unread.is_some() && !found {
            reply.answer.content = String::from_utf8_lossy(&body).into_owned();
        }
        reply
    }

    /// What there is of the body, unpacked.
    fn unpack(&mut self) -> Result<Vec<u8>, String> {
        let body = mem::take(&mut self.body);
        match &self.coding {
            Coding::Identity => Ok(body),
            Coding::Gzip => {
                let mut text = Vec::new();
                let mut decoder = MultiGzDecoder::new(&*body).take(LARGEST as u64);
                match decoder.read_to_end(&mut text) {
                    // As much as there is of an answer that was left or is too long.
                    Err(error)
                        if error.kind() == io::ErrorKind::UnexpectedEof && !text.is_empty() => {}
                    Err(error) => return Err(format!("it is no gzip: {error}")),
                    Ok(_) => {}
                }
                self.is_cut |= text.len() == LARGEST;
                Ok(text)
            }
            Coding::Other(name) => Err(format!("it is packed as {name}")),
        }
    }
}

#[cfg(test)]
mod tests;
