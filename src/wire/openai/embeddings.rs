//! `POST /v1/embeddings`: texts in, vectors out.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde_json::Value;

use super::{
    error::DecodeError,
    fields::{Fields, kind},
    json,
};
use crate::chat::Passage;

/// Inputs of one request, as many as OpenAI takes.
const MAX_INPUTS: usize = 2048;

/// A request for embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRequest {
    /// The model's name as the client spelt it.
    pub model: String,
    /// What is to be embedded; at least one, all of the same form.
    pub passages: Vec<Passage>,
    /// How many of each vector's values are wanted; `None` is all.
    pub dimensions: Option<usize>,
    /// How the vectors are to be written.
    pub encoding: Encoding,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As a list of numbers.
    #[default]
    Float,
    /// As base64 of 32-bit numbers, the least significant byte first.
    Base64,
}

/// Reads a request for embeddings. Fields that rkgate does not know change nothing.
///
/// # Errors
/// If the body is no JSON or not of the right shape; the error names the place.
pub fn decode_embeddings(body: &[u8]) -> Result<EmbeddingRequest, DecodeError> {
    let mut fields = Fields::of_body(body)?;
    let model = fields.model()?;
    let passages = passages(&mut fields)?;
    let dimensions = match fields.integer("dimensions")? {
        None => None,
        Some(number) => match usize::try_from(number) {
            Ok(number @ 1..) => Some(number),
            _ => return Err(fields.error("dimensions", "must be at least 1")),
        },
    };
    let encoding = match fields.text("encoding_format")?.as_deref() {
        None | Some("" | "float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => {
            return Err(fields.error("encoding_format", "must be \"float\" or \"base64\""));
        }
    };
    Ok(EmbeddingRequest {
        model,
        passages,
        dimensions,
        encoding,
    })
}

fn passages(fields: &mut Fields) -> Result<Vec<Passage>, DecodeError> {
    let list = match fields.take("input") {
        Some(Value::String(text)) => return Ok(vec![Passage::Text(text)]),
        Some(Value::Array(list)) => list,
        other => {
            let found = other.as_ref().map_or("nothing", kind);
            return Err(fields.error(
                "input",
                format!(
                    "must be a string, a list of strings, or token ids as a list or a list of lists, not {found}"
                ),
            ));
        }
    };
    if list.len() > MAX_INPUTS && !list.iter().all(Value::is_number) {
        return Err(fields.error("input", format!("has more than {MAX_INPUTS} inputs")));
    }
    match list.first() {
        None => Err(fields.error("input", "must not be empty")),
        Some(Value::String(_)) => each(list, |place, value| match value {
            Value::String(text) => Ok(Passage::Text(text)),
            other => Err(mixed(place, "a string", &other)),
        }),
        Some(Value::Number(_)) => tokens("input", list).map(|ids| vec![Passage::Tokens(ids)]),
        Some(_) => each(list, |place, value| match value {
            Value::Array(ids) => tokens(&place, ids).map(Passage::Tokens),
            other => Err(mixed(place, "a list of token ids", &other)),
        }),
    }
}

fn each<T>(
    list: Vec<Value>,
    read: impl Fn(String, Value) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let places = (0..).map(|index: usize| format!("input[{index}]"));
    places
        .zip(list)
        .map(|(place, value)| read(place, value))
        .collect()
}

fn tokens(place: &str, ids: Vec<Value>) -> Result<Vec<u32>, DecodeError> {
    let ids = ids.into_iter().enumerate().map(|(index, id)| {
        let known = id.as_u64().and_then(|id| u32::try_from(id).ok());
        known.ok_or_else(|| mixed(format!("{place}[{index}]"), "a token id", &id))
    });
    ids.collect()
}

fn mixed(place: String, expected: &str, found: &Value) -> DecodeError {
    let found = match found {
        Value::Number(number) => format!("{number}"),
        other => kind(other).to_owned(),
    };
    DecodeError::field(place, format!("must be {expected}, not {found}"))
}

impl EmbeddingRequest {
    /// Brings a model's vector to the size asked for: its first values, scaled to length 1 again, which models of
    /// nested representations (Matryoshka) are trained for.
    ///
    /// # Errors
    /// If the model's vectors have fewer values than are asked for.
    pub fn fit(&self, mut vector: Vec<f32>) -> Result<Vec<f32>, DecodeError> {
        let Some(wanted) = self.dimensions.filter(|wanted| *wanted != vector.len()) else {
            return Ok(vector);
        };
        if wanted > vector.len() {
            return Err(DecodeError::field(
                "dimensions",
                format!(
                    "must be {} at most, which is all that this model gives",
                    vector.len()
                ),
            ));
        }
        vector.truncate(wanted);
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|value| *value /= length);
        }
        Ok(vector)
    }
}

/// The answer with these vectors, in the order of their inputs; `tokens` counts those of all inputs.
#[must_use]
pub fn embedding_list(model: &str, vectors: &[Vec<f32>], encoding: Encoding, tokens: u32) -> Bytes {
    #[derive(Serialize)]
    struct List<'a> {
        object: &'static str,
        data: Vec<Entry<'a>>,
        model: &'a str,
        usage: Usage,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        object: &'static str,
        index: usize,
        embedding: Written<'a>,
    }
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Written<'a> {
        Float(&'a [f32]),
        Base64(String),
    }
    #[derive(Serialize)]
    struct Usage {
        prompt_tokens: u32,
        total_tokens: u32,
    }
    let written = vectors.iter().map(|vector| match encoding {
        Encoding::Float => Written::Float(vector),
        Encoding::Base64 => {
            let bytes = vector.iter().flat_map(|value| value.to_le_bytes());
            Written::Base64(BASE64_STANDARD.encode(bytes.collect::<Vec<u8>>()))
        }
    });
    let entries = written.enumerate().map(|(index, embedding)| Entry {
        object: "embedding",
        index,
        embedding,
    });
    let mut out = BytesMut::new();
    json::write(
        &mut out,
        &List {
            object: "list",
            data: entries.collect(),
            model,
            usage: Usage {
                prompt_tokens: tokens,
                total_tokens: tokens,
            },
        },
    );
    out.freeze()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn with(fields: &str) -> Result<EmbeddingRequest, DecodeError> {
        decode_embeddings(format!("{{\"model\":\"m\",{fields}}}").as_bytes())
    }

    fn texts(texts: &[&str]) -> Vec<Passage> {
        texts
            .iter()
            .map(|text| Passage::Text((*text).to_owned()))
            .collect()
    }

    #[test]
    fn every_form_of_input() {
        for (input, expected) in [
            (r#""a""#, texts(&["a"])),
            (r#"["a"]"#, texts(&["a"])),
            (r#"["a","","b"]"#, texts(&["a", "", "b"])),
            ("[1,2]", vec![Passage::Tokens(vec![1, 2])]),
            (
                "[[1,2],[],[3]]",
                vec![
                    Passage::Tokens(vec![1, 2]),
                    Passage::Tokens(vec![]),
                    Passage::Tokens(vec![3]),
                ],
            ),
        ] {
            assert_eq!(
                with(&format!("\"input\":{input}")).unwrap().passages,
                expected,
                "{input}"
            );
        }
    }

    #[test]
    fn a_wrong_input_is_named() {
        for (fields, param) in [
            (r#""x":1"#, "input"),
            (r#""input":null"#, "input"),
            (r#""input":{}"#, "input"),
            (r#""input":[]"#, "input"),
            (r#""input":["a",1]"#, "input[1]"),
            (r#""input":[1,"a"]"#, "input[1]"),
            (r#""input":[[1],[2,-3]]"#, "input[1][1]"),
            (r#""input":[1.5]"#, "input[0]"),
            (r#""input":[null]"#, "input[0]"),
            (r#""input":"a","dimensions":0"#, "dimensions"),
            (r#""input":"a","dimensions":2.5"#, "dimensions"),
            (r#""input":"a","encoding_format":"int8"#, "body"),
            (r#""input":"a","encoding_format":"int8""#, "encoding_format"),
        ] {
            let error = with(fields).unwrap_err();
            assert_eq!(error.param().unwrap_or("body"), param, "{fields}: {error}");
        }
        let many = format!("\"input\":{:?}", vec!["a"; MAX_INPUTS + 1]);
        assert_eq!(with(&many).unwrap_err().param(), Some("input"));
        // A long list of ids is one input.
        let long = format!("\"input\":{:?}", vec![1; MAX_INPUTS + 1]);
        assert_eq!(with(&long).unwrap().passages.len(), 1);
    }

    #[test]
    fn a_shorter_vector_has_length_one_again() {
        let request =
            |dimensions| with(&format!("\"input\":\"a\",\"dimensions\":{dimensions}")).unwrap();
        let vector = vec![0.6, 0.0, 0.8];
        assert_eq!(request(1).fit(vector.clone()).unwrap(), [1.0]);
        assert_eq!(request(3).fit(vector.clone()).unwrap(), vector);
        let error = request(4).fit(vector).unwrap_err();
        assert_eq!(error.param(), Some("dimensions"));
        assert_eq!(request(1).fit(vec![0.0, 1.0]).unwrap(), [0.0]);
    }

    #[test]
    fn both_encodings() {
        let vectors = [vec![1.0, -0.5], vec![0.25]];
        assert_eq!(
            embedding_list("m", &vectors, Encoding::Float, 7),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-0.5]},{"object":"embedding","index":1,"embedding":[0.25]}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}"#
        );
        let encoded = embedding_list("m", &vectors, Encoding::Base64, 7);
        let encoded: Value = serde_json::from_slice(&encoded).unwrap();
        assert_eq!(encoded["data"][0]["embedding"], "AACAPwAAAL8=");
        assert_eq!(encoded["data"][1]["embedding"], "AACAPg==");
    }
}
