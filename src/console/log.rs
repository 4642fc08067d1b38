//! The prompt log: pages of it, one record, what would become of it now, sums, and what is written from now on.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chrono::Utc;
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::{Admin, explain};
use crate::promptlog::{Filter, NoTime, Reader, StoreError, When};

/// Records of a page where nobody says how many.
const PAGE: usize = 50;
/// Most records of a page.
const LARGEST_PAGE: usize = 500;

/// Spans of time of a series where nobody says how many.
const SPANS: u16 = 60;
/// Most spans of a series.
const MOST_SPANS: u16 = 1000;

/// Which records, in the words of URLs and admin calls.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    since: Option<String>,
    until: Option<String>,
    class: Option<String>,
    model: Option<String>,
    label: Option<String>,
    conversation: Option<String>,
    request_id: Option<String>,
    #[serde(deserialize_with = "flag")]
    failed: Option<bool>,
    text: Option<String>,
}

/// Which records, and where to begin.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(flatten)]
    which: Which,
    before: Option<i64>,
    limit: Option<usize>,
    spans: Option<u16>,
}

impl Which {
    pub(super) fn filter(self) -> Result<Filter, NoTime> {
        let time = |text: Option<String>| {
            let when = text.as_deref().map(str::parse::<When>).transpose();
            when.map(|when| when.map(When::millis))
        };
        Ok(Filter {
            since: time(self.since)?,
            until: time(self.until)?,
            class: self.class,
            model: self.model,
            label: self.label,
            conversation: self.conversation,
            request: self.request_id,
            failed: self.failed,
            text: self.text,
        })
    }
}

/// A flag of JSON, or its word in a URL.
fn flag<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Is(Option<bool>),
        Said(String),
    }
    match Flag::deserialize(from)? {
        Flag::Is(is) => Ok(is),
        Flag::Said(word) => word.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Time(#[from] NoTime),
    #[error("there is no record {0}, or no longer")]
    Missing(i64),
    #[error("no content of record {0} was kept")]
    NoContent(i64),
    #[error("{}", .0.words())]
    Unreadable(#[from] StoreError),
    #[error("reading the prompt log failed")]
    Internal,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Time(_) => StatusCode::BAD_REQUEST,
            Self::Missing(_) | Self::NoContent(_) => StatusCode::NOT_FOUND,
            Self::Unreadable(_) | Self::Internal => StatusCode::SERVICE_UNAVAILABLE,
        };
        let error = json!({ "error": { "message": self.to_string() } });
        (status, Json(error)).into_response()
    }
}

/// `GET /api/log`: records, newest first; `next` of a page is the `before` of the one that follows.
pub(super) async fn page(
    State(admin): State<Arc<Admin>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Refusal> {
    let filter = asked.which.filter()?;
    let limit = asked.limit.unwrap_or(PAGE).min(LARGEST_PAGE);
    read(admin, move |reader| {
        let page = reader.page(&filter, asked.before, limit)?;
        let records: Vec<Value> = page
            .records
            .iter()
            .map(|summary| summary.to_json())
            .collect();
        Ok(Json(json!({ "records": records, "next": page.next })))
    })
    .await
}

/// `GET /api/log/{id}`: a record with its content.
pub(super) async fn one(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<i64>,
) -> Result<Json<Value>, Refusal> {
    read(admin, move |reader| {
        let record = reader.get(id)?.ok_or(Refusal::Missing(id))?;
        Ok(Json(record.to_json(id)))
    })
    .await
}

/// `GET /api/log/{id}/explain`: what the rules and policies of now would make of the request; lengths are estimates.
pub(super) async fn explain(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<i64>,
) -> Result<Json<Value>, Refusal> {
    read(admin.clone(), move |reader| {
        let record = reader.get(id)?.ok_or(Refusal::Missing(id))?;
        let content = record.content.ok_or(Refusal::NoContent(id))?;
        let told = explain::told(&admin, &content.before, &content.headers);
        Ok(Json(told))
    })
    .await
}

/// `GET /api/log/stats`: sums by class and model.
pub(super) async fn stats(
    State(admin): State<Arc<Admin>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Refusal> {
    let filter = asked.which.filter()?;
    read(admin, move |reader| {
        Ok(Json(json!({ "groups": reader.stats(&filter)? })))
    })
    .await
}

/// `GET /api/log/series`: sums over spans of time, for charts, and those of `stats`.
pub(super) async fn series(
    State(admin): State<Arc<Admin>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Refusal> {
    let filter = asked.which.filter()?;
    let spans = asked.spans.unwrap_or(SPANS).min(MOST_SPANS);
    read(admin, move |reader| {
        let series = reader.series(&filter, spans, Utc::now().timestamp_millis())?;
        Ok(Json(json!(series)))
    })
    .await
}

/// `GET /api/log/stream`: records as they are written, as server-sent events. `missed` says how many came too fast.
pub(super) async fn stream(State(admin): State<Arc<Admin>>) -> Response {
    let written = admin.prompt_log.subscribe();
    let events = stream::unfold(written, async |mut written| {
        let event = match written.recv().await {
            Ok(summary) => Event::default()
                .event("record")
                .json_data(summary.to_json()),
            Err(RecvError::Lagged(missed)) => Event::default().event("missed").json_data(missed),
            Err(RecvError::Closed) => return None,
        };
        Some((event.ok(), written))
    });
    let events = events
        .filter_map(async |event| event.map(Ok::<_, Infallible>))
        .take_until(admin.stop.clone().cancelled_owned());
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// Reads the log, which takes files, on a thread that may wait for them.
async fn read<T: Send + 'static>(
    admin: Arc<Admin>,
    read: impl FnOnce(&mut Reader) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut reader = Reader::open(admin.prompt_log.place())?;
        read(&mut reader)
    });
    reading.await.map_err(|_| Refusal::Internal)?
}
