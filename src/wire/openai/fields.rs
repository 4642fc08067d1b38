//! Reading the fields of a request body one by one, with errors that name the place.
//!
//! Shapes are strict, spellings are not: Open WebUI sends a control that is switched on but empty as `""`, and
//! custom parameters may hold numbers as strings or 40 as 40.0.

use std::fmt;

use serde_json::{Map, Value};

use super::error::DecodeError;
use crate::chat::Sampling;

/// More stop strings than any client needs. Every one is looked for in every piece of the answer.
const MAX_STOPS: usize = 64;
/// Longest stop string in bytes.
const MAX_STOP_LENGTH: usize = 1024;

/// The fields of one JSON object. What nobody takes is left over for `extra`.
#[derive(Debug)]
pub(super) struct Fields {
    place: Place,
    fields: Map<String, Value>,
}

/// Where an object stands in the body. Nobody wants to know as long as nothing is wrong with it.
#[derive(Debug)]
pub(super) enum Place {
    /// It is the body itself.
    Body,
    /// It is this message.
    Message(usize),
    /// It is elsewhere.
    Named(String),
}

impl From<String> for Place {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

impl Place {
    fn of(&self, name: &str) -> String {
        match self {
            Self::Body => name.to_owned(),
            Self::Message(index) => format!("messages[{index}].{name}"),
            Self::Named(place) => format!("{place}.{name}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("body"),
            Self::Message(index) => write!(f, "messages[{index}]"),
            Self::Named(place) => f.write_str(place),
        }
    }
}

impl Fields {
    /// The whole body as an object.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, DecodeError> {
        match serde_json::from_slice(body)? {
            Value::Object(fields) => Ok(Self::of_map(fields)),
            other => Err(DecodeError::field(
                "body",
                format!("must be a JSON object, not {}", kind(&other)),
            )),
        }
    }

    /// The body's members.
    pub(super) fn of_map(fields: Map<String, Value>) -> Self {
        Self::at(Place::Body, fields)
    }

    /// The members of the object at `place`.
    pub(super) fn at(place: Place, fields: Map<String, Value>) -> Self {
        Self { place, fields }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The object at `place`.
    pub(super) fn of_value(place: impl Into<Place>, value: Value) -> Result<Self, DecodeError> {
        let place = place.into();
        match value {
            Value::Object(fields) => Ok(Self { place, fields }),
            other => Err(DecodeError::field(
                place.to_string(),
                format!("must be an object, not {}", kind(&other)),
            )),
        }
    }

    /// The full name of a field.
    pub(super) fn place(&self, name: &str) -> String {
        self.place.of(name)
    }

    /// An error at a field.
    pub(super) fn error(&self, name: &str, problem: impl Into<String>) -> DecodeError {
        DecodeError::field(self.place(name), problem)
    }

    /// Looks at a field without taking it.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Takes a field; `null` is as good as none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        // Shifting keeps the order of what is left.
        self.fields
            .shift_remove(name)
            .filter(|value| !value.is_null())
    }

    /// Takes a string.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, DecodeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(name, format!("must be a string, not {}", kind(&other)))),
        }
    }

    /// Takes a list; none is empty.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, DecodeError> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(self.error(name, format!("must be a list, not {}", kind(&other)))),
        }
    }

    /// Takes a truth value; none is false.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, DecodeError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => {
                Err(self.error(name, format!("must be true or false, not {}", kind(&other))))
            }
        }
    }

    /// Takes a number, however it is spelt.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, DecodeError> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Number(number)) => number.as_f64(),
            Some(other) => {
                return Err(self.error(name, format!("must be a number, not {}", kind(&other))));
            }
        };
        match number.filter(|number: &f64| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.error(name, "must be a number")),
        }
    }

    /// Takes a whole number; what is beyond `i64` becomes its nearest value.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, DecodeError> {
        if let Some(number) = self.get(name).and_then(Value::as_i64) {
            self.take(name);
            return Ok(Some(number));
        }
        match self.number(name)? {
            Some(number) if number.fract() != 0.0 => {
                Err(self.error(name, "must be a whole number"))
            }
            // Whole, and the cast saturates.
            number => Ok(number.map(|number| number as i64)),
        }
    }

    /// Takes the model's name.
    pub(super) fn model(&mut self) -> Result<String, DecodeError> {
        match self.text("model")? {
            Some(model) if !model.trim().is_empty() => Ok(model),
            _ => Err(self.error("model", "must be a model's name; GET /v1/models lists them")),
        }
    }

    /// Takes the limit on generated tokens: `max_completion_tokens`, else the older `max_tokens`. Open WebUI's
    /// slider goes below zero, where it means no limit.
    pub(super) fn max_tokens(&mut self) -> Result<Option<u32>, DecodeError> {
        let older = self.integer("max_tokens")?;
        let newer = self.integer("max_completion_tokens")?;
        let name = if newer.is_some() {
            "max_completion_tokens"
        } else {
            "max_tokens"
        };
        match newer.or(older) {
            Some(0) => Err(self.error(name, "must be at least 1")),
            Some(limit) if limit > 0 => Ok(Some(u32::try_from(limit).unwrap_or(u32::MAX))),
            _ => Ok(None),
        }
    }

    /// Takes the stop strings: none, one or a list. Empty strings stop nothing.
    pub(super) fn stop(&mut self) -> Result<Vec<String>, DecodeError> {
        let values = match self.take("stop") {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(one) => vec![one],
        };
        if values.len() > MAX_STOPS {
            return Err(self.error("stop", format!("has more than {MAX_STOPS} strings")));
        }
        let mut stops = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::String(stop) if stop.len() > MAX_STOP_LENGTH => {
                    return Err(self.error(
                        "stop",
                        format!("has a string of more than {MAX_STOP_LENGTH} bytes"),
                    ));
                }
                Value::String(stop) if stop.is_empty() => {}
                Value::String(stop) => stops.push(stop),
                other => {
                    return Err(self.error(
                        "stop",
                        format!(
                            "must be a string or a list of strings, not {}",
                            kind(&other)
                        ),
                    ));
                }
            }
        }
        Ok(stops)
    }

    /// Takes the sampling values. Ranges are checked only where no sampler could make sense of the value.
    pub(super) fn sampling(&mut self) -> Result<Sampling, DecodeError> {
        Ok(Sampling {
            temperature: self.real("temperature", 0.0..=f32::MAX, "must not be negative")?,
            top_p: self.real("top_p", 0.0..=1.0, "must be between 0 and 1")?,
            // 0 and below switch it off in other servers, which is as good as not asking.
            top_k: self
                .integer("top_k")?
                .filter(|top_k| *top_k > 0)
                .map(saturate),
            min_p: self.real("min_p", 0.0..=1.0, "must be between 0 and 1")?,
            repeat_penalty: self.real("repeat_penalty", f32::MIN..=f32::MAX, "is too large")?,
            frequency_penalty: self.real(
                "frequency_penalty",
                f32::MIN..=f32::MAX,
                "is too large",
            )?,
            presence_penalty: self.real("presence_penalty", f32::MIN..=f32::MAX, "is too large")?,
            seed: self.integer("seed")?,
        })
    }

    fn real(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<f32>,
        problem: &str,
    ) -> Result<Option<f32>, DecodeError> {
        let Some(number) = self.number(name)? else {
            return Ok(None);
        };
        // What does not fit becomes infinite, which no range contains.
        let number = number as f32;
        if range.contains(&number) {
            Ok(Some(number))
        } else {
            Err(self.error(name, problem))
        }
    }

    /// Takes `stream_options.include_usage`.
    pub(super) fn include_usage(&mut self) -> Result<bool, DecodeError> {
        match self.take("stream_options") {
            None => Ok(false),
            Some(options) => {
                Self::of_value(self.place("stream_options"), options)?.flag("include_usage")
            }
        }
    }

    /// Refuses more than one answer.
    pub(super) fn single_answer(&mut self, name: &str) -> Result<(), DecodeError> {
        match self.integer(name)? {
            None | Some(1) => Ok(()),
            Some(_) => Err(self.error(name, "must be 1: one answer is generated per request")),
        }
    }

    /// What nobody has taken.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.fields
    }
}

fn saturate(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

/// What a value is, for messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
