//! `GET /api/events`: what goes on right now, as a stream of server-sent events.
//!
//! `requests` comes whenever a request has changed, at most four times a second; `board` every two seconds.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior};

use super::{Admin, engine};
use crate::telemetry::{
    activity::{Snapshot, unix_millis},
    board::{Board, Clock},
};

/// Time between two looks at the requests.
const LOOK: Duration = Duration::from_millis(250);
/// Looks between two readings of the board.
const LOOKS_PER_READING: u32 = 8;

/// What has changed about the requests.
#[derive(Debug, Serialize)]
struct Requests {
    /// All that are in progress.
    running: Vec<Snapshot>,
    /// Those that ended since the last event.
    ended: Vec<Snapshot>,
    /// Our clock in milliseconds since 1970; the reader's may differ.
    now: u64,
}

/// Where one listener is.
struct Listener {
    admin: Arc<Admin>,
    looks: Interval,
    looked: u32,
    version: Option<u64>,
    ended: u64,
}

pub(super) async fn events(State(admin): State<Arc<Admin>>) -> Response {
    Sse::new(listen(admin)).into_response()
}

fn listen(admin: Arc<Admin>) -> impl Stream<Item = Result<Event, Infallible>> {
    let stop = admin.stop.clone();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let listener = Listener {
        admin,
        looks,
        looked: 0,
        version: None,
        ended: 0,
    };
    let events = stream::unfold(listener, async |mut listener| {
        let events = listener.look().await;
        Some((stream::iter(events.into_iter().map(Ok)), listener))
    });
    events.flatten().take_until(stop.cancelled_owned())
}

impl Listener {
    async fn look(&mut self) -> Vec<Event> {
        self.looks.tick().await;
        let mut events = Vec::new();
        let activity = &self.admin.activity;
        let version = activity.version();
        if self.version != Some(version) {
            self.version = Some(version);
            let (ended, total) = activity.ended(self.ended);
            self.ended = total;
            let running = activity.running();
            events.extend(event(
                "requests",
                &Requests {
                    running,
                    ended,
                    now: unix_millis(),
                },
            ));
        }
        if self.looked.is_multiple_of(LOOKS_PER_READING) {
            events.extend(event("board", &readings(Arc::clone(&self.admin)).await));
        }
        self.looked = self.looked.wrapping_add(1);
        events
    }
}

fn event(name: &str, data: &impl Serialize) -> Option<Event> {
    Event::default().event(name).json_data(data).ok()
}

/// The board, the engine and the prompt log at this moment. Reading the board means reading files.
async fn readings(admin: Arc<Admin>) -> Value {
    let board = admin.board.clone();
    let board = tokio::task::spawn_blocking(move || board_json(&board)).await;
    json!({
        "board": board.unwrap_or_default(),
        "engine": engine::status_json(&admin),
        "log": admin.prompt_log.status(),
    })
}

fn board_json(board: &Board) -> Value {
    let memory = board.memory();
    let temperatures = board.temperatures().into_iter();
    let temperatures: Vec<Value> = temperatures
        .map(|(zone, celsius)| json!({ "zone": zone, "celsius": celsius }))
        .collect();
    json!({
        "npu_load_percent": board.npu_load(),
        "npu_clock": board.npu_clock().map(clock_json),
        "ddr_clock": board.ddr_clock().map(clock_json),
        "temperatures": temperatures,
        "memory_bytes": memory.map(|memory| memory.total),
        "memory_available_bytes": memory.map(|memory| memory.available),
    })
}

fn clock_json(clock: Clock) -> Value {
    json!({ "governor": clock.governor, "hertz": clock.current, "highest_hertz": clock.highest })
}
