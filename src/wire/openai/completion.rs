//! `POST /v1/completions`: text in, text out.

use serde_json::{Map, Value};

use super::{
    error::DecodeError,
    fields::{Fields, kind},
};
use crate::chat::Sampling;

/// A request to go on with a text.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// The model's name as the client spelt it.
    pub model: String,
    /// The text.
    pub prompt: String,
    /// Whether the answer is wanted piece by piece.
    pub stream: bool,
    /// Whether a streamed answer ends with a usage chunk.
    pub include_usage: bool,
    /// Sampling values that the client set.
    pub sampling: Sampling,
    /// The client's limit on generated tokens.
    pub max_tokens: Option<u32>,
    /// Strings that end the answer.
    pub stop: Vec<String>,
    /// Fields that rkgate does not interpret.
    pub extra: Map<String, Value>,
}

/// Reads a completion request.
///
/// # Errors
/// If the body is no JSON, not of the right shape, or asks for what a single run cannot give: several prompts or
/// answers, prompts of token ids, `echo` or `suffix`.
pub fn decode_completion(body: &[u8]) -> Result<CompletionRequest, DecodeError> {
    let mut fields = Fields::of_body(body)?;
    let model = fields.model()?;
    let prompt = prompt(&mut fields)?;
    fields.single_answer("n")?;
    fields.single_answer("best_of")?;
    if fields.flag("echo")? {
        return Err(fields.error(
            "echo",
            "is not supported: the answer never repeats the prompt",
        ));
    }
    if fields
        .text("suffix")?
        .is_some_and(|suffix| !suffix.is_empty())
    {
        return Err(fields.error(
            "suffix",
            "is not supported: text can only be continued at its end",
        ));
    }
    Ok(CompletionRequest {
        model,
        prompt,
        stream: fields.flag("stream")?,
        include_usage: fields.include_usage()?,
        sampling: fields.sampling()?,
        max_tokens: fields.max_tokens()?,
        stop: fields.stop()?,
        extra: fields.rest(),
    })
}

fn prompt(fields: &mut Fields) -> Result<String, DecodeError> {
    let one = match fields.take("prompt") {
        Some(Value::Array(mut prompts)) if prompts.len() <= 1 => prompts.pop(),
        Some(Value::Array(prompts)) if prompts.iter().all(Value::is_string) => {
            return Err(fields.error(
                "prompt",
                "must be one prompt: one answer is generated per request",
            ));
        }
        other => other,
    };
    match one {
        Some(Value::String(prompt)) => Ok(prompt),
        Some(Value::Array(_) | Value::Number(_)) => Err(fields.error(
            "prompt",
            "must be text: prompts of token ids are not supported",
        )),
        other => {
            let found = other.as_ref().map_or("nothing", kind);
            Err(fields.error(
                "prompt",
                format!("must be a string or a list with one string, not {found}"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt_of(prompt: &str) -> Result<String, DecodeError> {
        decode_completion(format!("{{\"model\":\"m\",\"prompt\":{prompt}}}").as_bytes())
            .map(|request| request.prompt)
    }

    #[test]
    fn prompts() {
        assert_eq!(prompt_of("\"a\"").unwrap(), "a");
        assert_eq!(prompt_of("[\"a\"]").unwrap(), "a");
        for refused in [
            "[\"a\",\"b\"]",
            "[1,2]",
            "[[1,2]]",
            "[[1],[2]]",
            "[]",
            "null",
            "{}",
        ] {
            assert_eq!(
                prompt_of(refused).unwrap_err().param(),
                Some("prompt"),
                "{refused}"
            );
        }
        assert_eq!(
            decode_completion(br#"{"model":"m"}"#).unwrap_err().param(),
            Some("prompt")
        );
    }

    #[test]
    fn fields_and_limits() {
        let body = br#"{"model":"m","prompt":"a","stream":true,"stream_options":{"include_usage":true},
            "max_tokens":16,"stop":"\n","temperature":0.5,"n":1,"best_of":1,"echo":false,"suffix":null,"user":"u"}"#;
        let request = decode_completion(body).unwrap();
        assert!(request.stream && request.include_usage);
        assert_eq!(
            (request.max_tokens, request.stop),
            (Some(16), vec!["\n".to_owned()])
        );
        assert_eq!(
            request.sampling,
            Sampling {
                temperature: Some(0.5),
                ..Sampling::default()
            }
        );
        assert_eq!(request.extra.keys().collect::<Vec<_>>(), ["user"]);
    }

    #[test]
    fn what_one_run_cannot_give() {
        for (field, value) in [
            ("n", "2"),
            ("best_of", "3"),
            ("echo", "true"),
            ("suffix", "\"x\""),
        ] {
            let body = format!("{{\"model\":\"m\",\"prompt\":\"a\",\"{field}\":{value}}}");
            assert_eq!(
                decode_completion(body.as_bytes()).unwrap_err().param(),
                Some(field)
            );
        }
    }
}
