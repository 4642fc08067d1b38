//! A streamed answer: its events, and the line above it that says what it waits for.

use std::time::Duration;

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

/// The line above an answer that does not come yet, which Open WebUI shows and other clients do not know.
pub(super) struct StatusLine {
    wanted: bool,
    /// What there is to say.
    description: Option<String>,
    shown: bool,
}

impl StatusLine {
    pub(super) fn new(exchange: &Exchange) -> Self {
        // A task of Open WebUI carries the chat's id as well.
        let headers = &exchange.request().headers;
        Self {
            wanted: !exchange.class.is_task() && headers.contains_key("x-openwebui-chat-id"),
            description: None,
            shown: false,
        }
    }

    /// Notes what the request waits for; says so at once where the stream has begun anyway.
    pub(super) fn waiting(&mut self, what: String, events: &mut EventStream) {
        self.description = Some(what);
        if events.begun {
            self.tell(events);
        }
    }

    /// Says what the request waits for. False if there is nothing to say or nobody to understand it.
    pub(super) fn tell(&mut self, events: &mut EventStream) -> bool {
        match &self.description {
            Some(description) if self.wanted => {
                openai::write_status(description, false, &mut events.out);
                self.shown = true;
                true
            }
            _ => false,
        }
    }

    /// Ends the line, since the answer begins.
    pub(super) fn over(&mut self, waited: Duration, events: &mut EventStream) {
        self.description = None;
        if self.shown {
            let description = format!("Waited {:.0} s", waited.as_secs_f64());
            openai::write_status(&description, true, &mut events.out);
            self.shown = false;
        }
    }
}
