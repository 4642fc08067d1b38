//! A streamed answer: its events, and the line above it that says what it waits for.

use std::{
    fmt,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use http::{HeaderValue, StatusCode};

use super::{asked::Manner, pieces::End};
use crate::{
    chat::Event,
    gateway::{
        exchange::{Exchange, response, set},
        failure::Failure,
        now,
        route::Call,
    },
    wire::openai::{self, ChunkEncoder},
};

/// A streamed answer in the making.
pub(super) struct EventStream {
    encoder: ChunkEncoder,
    /// What is to be sent next.
    pub(super) out: BytesMut,
    /// Whether the header has been sent.
    pub(super) begun: bool,
    /// Whether the chunk that names the role has been written.
    opened: bool,
}

impl EventStream {
    pub(super) fn new(manner: &Manner, exchange: &Exchange) -> Self {
        let encoder = match manner.call {
            Call::Completion => ChunkEncoder::text(&exchange.id, now(), &manner.model),
            Call::Chat | Call::Embeddings => ChunkEncoder::chat(&exchange.id, now(), &manner.model),
        };
        Self {
            encoder,
            out: BytesMut::new(),
            begun: false,
            opened: false,
        }
    }

    fn open(&mut self) {
        if !self.opened {
            self.opened = true;
            self.encoder.start(&mut self.out);
        }
    }

    /// Writes events of the answer.
    pub(super) fn add(&mut self, events: impl Iterator<Item = Event>) {
        for event in events {
            self.open();
            self.encoder.event(&event, &mut self.out);
        }
    }

    /// Writes how the answer ended.
    pub(super) fn end(&mut self, end: &End, include_usage: bool) {
        self.open();
        self.encoder.finish(end.reason, &mut self.out);
        if include_usage {
            self.encoder.usage(end.usage, end.timings, &mut self.out);
        }
        openai::write_done(&mut self.out);
    }

    /// Sends what has been written, after the header if it has not been sent.
    pub(super) async fn send(&mut self, exchange: &mut Exchange) -> Result<(), Failure> {
        if !self.begun {
            self.begun = true;
            let mut header = response(StatusCode::OK, "text/event-stream");
            set(
                &mut header,
                "cache-control",
                HeaderValue::from_static("no-cache"),
            );
            // nginx would hold tokens back otherwise.
            set(
                &mut header,
                "x-accel-buffering",
                HeaderValue::from_static("no"),
            );
            exchange.begin(header, None).await?;
        }
        exchange.write(&self.out).await?;
        self.out.clear();
        Ok(())
    }
}

/// What a request waits for; its text says how long that is likely to take from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Others before it.
    Queue {
        /// So many.
        ahead: usize,
        /// When they are likely to be through, where anything is known of that.
        until: Option<Instant>,
    },
    /// Its model.
    Loading,
}

impl Wait {
    /// Behind so many others, who are likely to take this long; zero where nothing is known of that.
    pub(super) fn queued(ahead: usize, wait: Duration) -> Self {
        let until = (!wait.is_zero()).then(|| Instant::now() + wait);
        Self::Queue { ahead, until }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ahead, until) = match self {
            Self::Loading => return f.write_str("Loading the model"),
            Self::Queue { ahead: 0, .. } => return f.write_str("Next in the queue"),
            Self::Queue { ahead, until } => (ahead, until),
        };
        write!(f, "Queued: {ahead} ahead of you")?;
        let Some(until) = until else {
            return Ok(());
        };
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            f.write_str(", longer than expected")
        } else {
            write!(f, ", about {:.0} s", rest.as_secs_f64().ceil())
        }
    }
}

/// The line above an answer that does not come yet, which Open WebUI shows and other clients do not know.
pub(super) struct StatusLine {
    wanted: bool,
    waits_for: Option<Wait>,
    shown: bool,
}

impl StatusLine {
    pub(super) fn new(exchange: &Exchange) -> Self {
        // A task of Open WebUI carries the chat's id as well.
        let headers = &exchange.request().headers;
        Self {
            wanted: !exchange.class.is_task() && headers.contains_key("x-openwebui-chat-id"),
            waits_for: None,
            shown: false,
        }
    }

    /// Notes what the request waits for; says so at once where the stream has begun anyway.
    pub(super) fn waiting(&mut self, wait: Wait, events: &mut EventStream) {
        self.waits_for = Some(wait);
        if events.begun {
            self.tell(events);
        }
    }

    /// Says what the request waits for. False if there is nothing to say or nobody to understand it.
    pub(super) fn tell(&mut self, events: &mut EventStream) -> bool {
        match &self.waits_for {
            Some(wait) if self.wanted => {
                openai::write_status(&wait.to_string(), false, &mut events.out);
                self.shown = true;
                true
            }
            _ => false,
        }
    }

    /// Ends the line, since the answer begins.
    pub(super) fn over(&mut self, waited: Duration, events: &mut EventStream) {
        self.waits_for = None;
        if self.shown {
            let description = format!("Waited {:.0} s", waited.as_secs_f64());
            openai::write_status(&description, true, &mut events.out);
            self.shown = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_wait_grows_shorter_and_is_owned_up_to_when_it_was_too_short() {
        let now = Instant::now();
        let text = |until| Wait::Queue { ahead: 2, until }.to_string();
        let soon = Wait::queued(2, Duration::from_millis(9_900)).to_string();
        assert_eq!(soon, "Queued: 2 ahead of you, about 10 s");
        let later = now + Duration::from_millis(4_900);
        assert_eq!(text(Some(later)), "Queued: 2 ahead of you, about 5 s");
        assert_eq!(
            text(Some(now)),
            "Queued: 2 ahead of you, longer than expected"
        );
        let unknown = Wait::queued(2, Duration::ZERO).to_string();
        assert_eq!(unknown, "Queued: 2 ahead of you");
    }
}
