//! What is wrong with a request, and how an error looks on the wire.

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::json;

/// Why a request body cannot be understood. Always the client's fault (400).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is no JSON.
    #[error("the request body is not valid JSON: {reason} (line {line}, column {column})")]
    Json {
        /// What the parser stumbled over.
        reason: String,
        /// Line of the fault, from 1.
        line: usize,
        /// Byte column of the fault, from 1; 0 where the line has no byte yet.
        column: usize,
    },
    /// The body is JSON, but not of the shape that the endpoint takes.
    #[error("{param}: {problem}")]
    Field {
        /// The place of the fault, e.g. `messages[2].content`.
        param: String,
        /// What is wrong there and what would be right.
        problem: String,
    },
}

impl DecodeError {
    /// The place of the fault for the error body's `param`, if the body was JSON.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Json { .. } => None,
            Self::Field { param, .. } => Some(param),
        }
    }

    pub(super) fn field(param: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            param: param.into(),
            problem: problem.into(),
        }
    }
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let place = format!(" at line {line} column {column}");
        Self::Json {
            reason: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
            line,
            column,
        }
    }
}

/// An error as OpenAI clients expect it: `{"error":{"message","type","param","code"}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ErrorBody<'a> {
    /// What happened, for a person.
    pub message: &'a str,
    /// The error's class, e.g. `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The field at fault.
    pub param: Option<&'a str>,
    /// The error's name for programs, e.g. `context_length_exceeded`.
    pub code: Option<&'a str>,
}

impl ErrorBody<'_> {
    /// The body of an error response.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.write(&mut out);
        out.freeze()
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: &'a ErrorBody<'a>,
        }
        json::write(out, &Envelope { error: self });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_all_four_fields() {
        let body = ErrorBody {
            message: "no \"model\"",
            kind: "invalid_request_error",
            param: None,
            code: Some("x"),
        };
        assert_eq!(
            body.to_json(),
            r#"{"error":{"message":"no \"model\"","type":"invalid_request_error","param":null,"code":"x"}}"#
        );
    }

    #[test]
    fn a_json_fault_has_its_place_once() {
        let error = serde_json::from_str::<serde_json::Value>("{\n \"a\": x}").unwrap_err();
        assert_eq!(
            DecodeError::from(error).to_string(),
            "the request body is not valid JSON: expected value (line 2, column 7)"
        );
    }
}
