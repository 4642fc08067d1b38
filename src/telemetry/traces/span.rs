//! A request as spans, in OTLP's JSON form with the GenAI conventions of OpenTelemetry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// OTLP's numbers for kinds of spans.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// OTLP's number for a failure.
const ERROR: u8 = 2;

/// The place of a request in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    trace: u128,
    span: Option<u64>,
    /// Whether the trace is to be sent, where the caller has decided that.
    pub(super) sampled: Option<bool>,
}

impl Parent {
    /// What `traceparent` says (<https://www.w3.org/TR/trace-context/>), or else a trace of its own.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let told = headers.get("traceparent").and_then(|it| it.to_str().ok());
        told.and_then(Self::parse).unwrap_or_else(|| Self {
            trace: Uuid::new_v4().as_u128(),
            span: None,
            sampled: None,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let mut next = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            part.bytes().all(is_hex).then_some(part)
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let ends = version != "00" || parts.next().is_none();
        let parent = Self {
            trace: u128::from_str_radix(trace, 16).ok()?,
            span: Some(u64::from_str_radix(span, 16).ok()?),
            sampled: Some(u8::from_str_radix(flags, 16).ok()? & 1 == 1),
        };
        let valid = version != "ff" && ends && parent.trace != 0 && parent.span != Some(0);
        valid.then_some(parent)
    }

    /// A number from 0 to 1 that is the same for the whole trace; its last bits are random.
    pub(super) fn share(&self) -> f64 {
        const BITS: u32 = 32;
        let random = (self.trace & ((1 << BITS) - 1)) as f64;
        random / 2_f64.powi(BITS as i32)
    }
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any number.
    Number(f64),
    /// Several texts.
    Texts(Vec<String>),
}

/// A part of a request's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// What was done in it.
    pub name: &'static str,
    /// Whether another server did it.
    pub is_remote: bool,
    /// From the request's beginning.
    pub begin: Duration,
    /// From the request's beginning.
    pub end: Duration,
}

/// A request that has ended.
#[derive(Debug)]
pub struct RequestTrace {
    /// Its place in the trace.
    pub parent: Parent,
    /// What is shown of it: the operation and the model.
    pub name: String,
    /// When it came.
    pub begun: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Its parts.
    pub phases: Vec<Phase>,
    /// What went wrong on rkgate's side.
    pub error: Option<String>,
}

impl RequestTrace {
    /// Its spans.
    pub(super) fn to_json(&self) -> Vec<Json> {
        let (trace, root) = (format!("{:032x}", self.parent.trace), id());
        let span = |id: u64, parent: Option<u64>, name: &str, kind: u8, times: [Duration; 2]| {
            let [begin, end] = times.map(|time| self.nanoseconds(time));
            json!({
                "traceId": trace,
                "spanId": format!("{id:016x}"),
                "parentSpanId": parent.map_or(String::new(), |parent| format!("{parent:016x}")),
                "name": name,
                "kind": kind,
                "startTimeUnixNano": begin,
                "endTimeUnixNano": end,
            })
        };
        let whole = [Duration::ZERO, self.duration];
        let mut request = span(root, self.parent.span, &self.name, SERVER, whole);
        if let Some(fields) = request.as_object_mut() {
            let attributes = self
                .attributes
                .iter()
                .map(|(key, value)| attribute(key, value));
            fields.insert("attributes".to_owned(), attributes.collect());
            if let Some(error) = &self.error {
                let status = json!({ "code": ERROR, "message": error });
                fields.insert("status".to_owned(), status);
            }
        }
        let phases = self.phases.iter().map(|phase| {
            let kind = if phase.is_remote { CLIENT } else { INTERNAL };
            span(id(), Some(root), phase.name, kind, [phase.begin, phase.end])
        });
        std::iter::once(request).chain(phases).collect()
    }

    /// 64-bit numbers are texts in the JSON of protobuf.
    fn nanoseconds(&self, after: Duration) -> String {
        let since = self.begun.duration_since(UNIX_EPOCH).unwrap_or_default();
        (since + after).as_nanos().to_string()
    }
}

pub(super) fn attribute(key: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Integer(number) => json!({ "intValue": number.to_string() }),
        Value::Number(number) => json!({ "doubleValue": number }),
        Value::Texts(texts) => {
            let texts = texts.iter().map(|text| json!({ "stringValue": text }));
            json!({ "arrayValue": { "values": texts.collect::<Json>() } })
        }
    };
    json!({ "key": key, "value": value })
}

fn id() -> u64 {
    // The version of a random UUID stands in the other half.
    Uuid::new_v4().as_u64_pair().1
}
