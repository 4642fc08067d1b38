//! Records as JSON: what exports and the admin port give out.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::{Content, Record, Summary, Timings};
use crate::{engine::Miss, wire::openai::chat_json};

impl Summary {
    /// The record without its content.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = metadata(self.id, &self.record);
        fields.insert("preview".to_owned(), json!(self.preview));
        Value::Object(fields)
    }
}

impl Record {
    /// The whole record; requests in OpenAI's form.
    #[must_use]
    pub fn to_json(&self, id: i64) -> Value {
        let mut fields = metadata(id, self);
        let content = self.content.as_ref().map(Content::to_json);
        fields.insert("content".to_owned(), content.unwrap_or(Value::Null));
        Value::Object(fields)
    }
}

impl Content {
    fn to_json(&self) -> Value {
        let headers = self.headers.iter();
        let headers: Map<String, Value> = headers
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({
            "headers": headers,
            "before": chat_json(&self.before),
            "after": self.after.as_deref().map(chat_json),
            "trace": self.trace.steps,
            "sampling": self.sampling,
            "max_tokens": self.max_tokens,
            "thinking": self.thinking,
            "answer": self.answer,
            "unread": self.unread,
        })
    }
}

/// A point in time, to the millisecond.
#[must_use]
pub fn timestamp(millis: i64) -> String {
    let time = DateTime::from_timestamp_millis(millis).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn metadata(id: i64, record: &Record) -> Map<String, Value> {
    let Timings {
        queued,
        first_token,
        total,
        decode,
    } = record.timings;
    let millis = |time: std::time::Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let fields = json!({
        "id": id,
        "time": timestamp(record.time),
        "request_id": record.request,
        "conversation": record.conversation,
        "client": record.client,
        "user": record.user,
        "class": record.class,
        "labels": record.labels,
        "asked": record.asked,
        "model": record.model,
        "provider": record.provider,
        "profile": record.profile,
        "policy": record.policy,
        "status": record.status,
        "finish": record.finish,
        "error": record.error,
        "usage": record.usage,
        "miss": record.miss.map(Miss::as_str),
        "timings": {
            "queued_ms": queued.map(millis),
            "first_token_ms": first_token.map(millis),
            "total_ms": millis(total),
            "decode_ms": decode.map(millis),
            "tokens_per_second": record.timings.tokens_per_second(record.usage),
        },
        "kept": record.kept.as_str(),
    });
    let mut fields = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if let Some(instance) = &record.instance {
        fields.insert("instance".to_owned(), json!(instance));
    }
    fields
}
