//! Metadata as a table, as RFC 4180 has it.

use std::time::Duration;

use crate::{
    engine::Miss,
    promptlog::{Record, json},
};

/// The names of the columns.
pub(super) fn header() -> String {
    "id,time,request_id,conversation,client,user,class,labels,asked,model,provider,profile,policy,status,finish,error,\
     prompt_tokens,cached_tokens,completion_tokens,reasoning_tokens,queued_ms,first_token_ms,total_ms,\
     tokens_per_second,kept,instance,miss"
        .to_owned()
}

/// A record's values, without the line's end.
pub(super) fn line(id: i64, record: &Record) -> String {
    let usage = record.usage.unwrap_or_default();
    let tokens = |count: u32| match record.usage {
        Some(_) => count.to_string(),
        None => String::new(),
    };
    let millis = |time: Option<Duration>| {
        time.map(|time| format!("{:.3}", time.as_secs_f64() * 1000.0))
            .unwrap_or_default()
    };
    let speed = record.timings.tokens_per_second(record.usage);
    let labels: Vec<&str> = record.labels.iter().map(AsRef::as_ref).collect();
    let values = [
        id.to_string(),
        json::timestamp(record.time),
        field(&record.request),
        field(record.conversation.as_deref().unwrap_or_default()),
        field(record.client.as_deref().unwrap_or_default()),
        field(record.user.as_deref().unwrap_or_default()),
        field(&record.class),
        field(&labels.join(" ")),
        field(&record.asked),
        field(&record.model),
        field(&record.provider),
        field(record.profile.as_deref().unwrap_or_default()),
        record.policy.to_string(),
        record.status.to_string(),
        field(record.finish.as_deref().unwrap_or_default()),
        field(record.error.as_deref().unwrap_or_default()),
        tokens(usage.prompt),
        tokens(usage.cached),
        tokens(usage.completion),
        tokens(usage.reasoning),
        millis(record.timings.queued),
        millis(record.timings.first_token),
        millis(Some(record.timings.total)),
        speed.map(|speed| format!("{speed:.2}")).unwrap_or_default(),
        record.kept.as_str().to_owned(),
        field(record.instance.as_deref().unwrap_or_default()),
        record.miss.map_or("", Miss::as_str).to_owned(),
    ];
    values.join(",")
}

/// A text that a table can hold. What a spreadsheet would take for a formula is made a text.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}
