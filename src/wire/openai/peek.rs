//! The least that must be known about a request body to pass it on.

use std::{borrow::Cow, ops::Range};

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{error::DecodeError, json, raw::Name};

/// What [`peek`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek<'a> {
    /// The model's name.
    pub model: Cow<'a, str>,
    /// Where the name stands in the body, quotes included.
    pub model_span: Range<usize>,
    /// Whether a stream is asked for.
    pub stream: bool,
}

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
}

/// Reads the model and the stream flag of any OpenAI request, and skips the rest.
///
/// A body with two `model` fields is refused: two readers could disagree about which one counts.
///
/// # Errors
/// If the body is no JSON object or has no model.
pub fn peek(body: &[u8]) -> Result<Peek<'_>, DecodeError> {
    let top: Top<'_> = serde_json::from_slice(body)?;
    let missing =
        || DecodeError::field("model", "must be a model's name; GET /v1/models lists them");
    let raw = top.model.ok_or_else(missing)?.get();
    let Name(model) = serde_json::from_str(raw).map_err(|_| missing())?;
    // The raw value is a part of the body, so the distance of the two is its place.
    let start = raw.as_ptr().addr() - body.as_ptr().addr();
    Ok(Peek {
        model,
        model_span: start..start + raw.len(),
        stream: top.stream.is_some_and(|stream| stream.get() == "true"),
    })
}

fn replace_model(body: &[u8], span: Range<usize>, model: &str) -> Bytes {
    let before = body.get(..span.start).unwrap_or_default();
    let after = body.get(span.end..).unwrap_or_default();
    let mut out = BytesMut::with_capacity(body.len() + model.len());
    out.put_slice(before);
    json::write(&mut out, model);
    out.put_slice(after);
    out.freeze()
}

/// The body with another model's name, every other byte as it is; the body itself where it has none.
#[must_use]
pub fn with_model(body: &Bytes, model: &str) -> Bytes {
    match peek(body) {
        Ok(peeked) => replace_model(body, peeked.model_span, model),
        Err(_) => body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_top_level_model() {
        let body =
            br#" {"messages":[{"model":"no"}], "stream" : true , "model" : "a\u002fb" ,"n":1e3}"#;
        let found = peek(body).unwrap();
        assert_eq!((&*found.model, found.stream), ("a/b", true));
        assert_eq!(&body[found.model_span.clone()], br#""a\u002fb""#);
        assert_eq!(
            with_model(&Bytes::from_static(body), "x\"y"),
            &br#" {"messages":[{"model":"no"}], "stream" : true , "model" : "x\"y" ,"n":1e3}"#[..]
        );
    }

    #[test]
    fn plain_names_are_borrowed() {
        assert!(matches!(
            peek(br#"{"model":"m"}"#).unwrap().model,
            Cow::Borrowed("m")
        ));
    }

    #[test]
    fn odd_stream_flags_mean_no_stream() {
        for stream in ["false", "null", "\"true\"", "1"] {
            assert!(
                !peek(format!("{{\"model\":\"m\",\"stream\":{stream}}}").as_bytes())
                    .unwrap()
                    .stream
            );
        }
    }

    #[test]
    fn what_cannot_be_routed() {
        for body in ["{}", r#"{"model":null}"#, r#"{"model":3}"#] {
            assert_eq!(
                peek(body.as_bytes()).unwrap_err().param(),
                Some("model"),
                "{body}"
            );
        }
        for body in [
            "",
            "[]",
            "x",
            r#"{"model":"a""#,
            r#"{"model":"a"} x"#,
            r#"{"model":"a","model":"b"}"#,
        ] {
            assert!(
                matches!(peek(body.as_bytes()), Err(DecodeError::Json { .. })),
                "{body}"
            );
        }
        assert!(peek(b"{\"model\":\"\xff\"}").is_err());
    }
}
