//! A chat request's body, and where its parts stand in it, so that what does not change is written again as it was.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Map;
use simdutf8::basic::from_utf8;

use super::{
    completion::{CompletionRequest, decode_completion},
    error::DecodeError,
    fields::Fields,
    message::RawMessage,
    peek::peek,
    raw::{Member, Name},
    reader::Reader,
    request,
};
use crate::chat::Request;

/// A body that has been read.
#[derive(Debug, Clone)]
pub struct ChatBody {
    bytes: Bytes,
    /// Unknown for bodies of an unusual shape.
    places: Option<Places>,
}

/// Where the parts of a body stand.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Of each member its name, quotes included, and its value.
    members: Vec<(Range<usize>, Range<usize>)>,
    messages: Vec<Range<usize>>,
}

impl ChatBody {
    /// Reads a request.
    ///
    /// A body with two `model` fields is refused: two readers could disagree about which one counts.
    ///
    /// # Errors
    /// If the body is no JSON or not of the shape of a chat request; the error names the place.
    pub fn decode(bytes: &Bytes) -> Result<(Self, Request), DecodeError> {
        let (request, places) = match read(bytes) {
            Some((fields, messages, places)) => (request::decode(fields, messages)?, Some(places)),
            None => {
                peek(bytes)?;
                (request::decode_chat(bytes)?, None)
            }
        };
        let bytes = bytes.clone();
        Ok((Self { bytes, places }, request))
    }

    /// Reads a request to go on with a text. Its body is written again as a chat's is, since all that a rule can
    /// change of it has the same names.
    ///
    /// # Errors
    /// As [`decode_completion`], or if there are two models.
    pub fn decode_text(bytes: &Bytes) -> Result<(Self, CompletionRequest), DecodeError> {
        peek(bytes)?;
        Ok((Self::unread(bytes.clone()), decode_completion(bytes)?))
    }

    /// A body of whose parts nothing is known.
    pub(super) fn unread(bytes: Bytes) -> Self {
        Self {
            bytes,
            places: None,
        }
    }

    /// The body as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The members of the body and the elements of `messages`, as far as their places are known.
    pub(super) fn parts(&self) -> Option<(Vec<Member<'_>>, Vec<&str>)> {
        let places = self.places.as_ref()?;
        let text = from_utf8(&self.bytes).ok()?;
        let member = |(key, value): &(Range<usize>, Range<usize>)| {
            let key = text.get(key.clone())?;
            let Name(name) = serde_json::from_str(key).ok()?;
            let value = text.get(value.clone())?;
            Some(Member { name, key, value })
        };
        let members = places.members.iter().map(member).collect::<Option<_>>()?;
        let messages = places.messages.iter();
        let messages = messages
            .map(|message| text.get(message.clone()))
            .collect::<Option<_>>()?;
        Some((members, messages))
    }
}

/// Reads a body of the usual shape in one pass.
fn read(bytes: &[u8]) -> Option<(Fields, Vec<RawMessage>, Places)> {
    let mut reader = Reader::new(from_utf8(bytes).ok()?);
    let mut fields = Map::new();
    let mut messages = None;
    let mut places = Places {
        members: Vec::new(),
        messages: Vec::new(),
    };
    reader.object(|reader, name, key| {
        let ((), value) = if name == "messages" && messages.is_none() {
            let mut list = Vec::new();
            let read = reader.placed(|reader| {
                reader.list(|reader| {
                    let (message, place) = reader.placed(RawMessage::read)?;
                    list.push(message);
                    places.messages.push(place);
                    Some(())
                })
            });
            messages = Some(list);
            read?
        } else if name == "messages" {
            return None;
        } else {
            let (value, place) = reader.placed(Reader::value)?;
            // Which of two counts is for others to say.
            if fields.insert(name.into_owned(), value).is_some() {
                return None;
            }
            ((), place)
        };
        places.members.push((key, value));
        Some(())
    })?;
    reader.end()?;
    Some((Fields::of_map(fields), messages?, places))
}
