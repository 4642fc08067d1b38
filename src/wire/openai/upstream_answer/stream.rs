//! Streamed answers of upstreams.

use bytes::{BufMut, BytesMut};

use super::{
    CONTENT, MODEL, REASONING, assembler, finish_reason, json,
    patch::Changes,
    raw::{self, Member},
    reasoning, write,
};
use crate::{
    chat::{
        Event, FinishReason,
        answer::{AnswerNotes, AnswerOptions, Assembler},
    },
    wire::{openai::write_done, sse::SseSplitter},
};

/// Changes one streamed answer. However the stream is cut into pieces, the same bytes come out.
///
/// Comments, events that are no chunks, and chunks whose text stays as it is keep every byte.
#[derive(Debug)]
pub struct AnswerStream {
    splitter: SseSplitter,
    rewriter: Rewriter,
}

impl AnswerStream {
    /// For one answer, whose chunks tell this name of the model instead of the upstream's if one is given.
    #[must_use]
    pub fn new(options: AnswerOptions, model: Option<String>) -> Self {
        Self {
            splitter: SseSplitter::default(),
            rewriter: Rewriter {
                assembler: assembler(options),
                model,
                last: String::new(),
                end: End::Open,
                done: false,
            },
        }
    }

    /// Takes the next piece of the upstream's stream and appends what goes to the client.
    pub fn push(&mut self, piece: &[u8], out: &mut BytesMut) {
        let Self { splitter, rewriter } = self;
        splitter.push(piece, |event, data| rewriter.take(event, data, out));
    }

    /// Whether the answer has been ended early: nothing more is wanted from the upstream.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.rewriter.end == End::Early
    }

    /// Ends the stream, after the upstream's last byte or an early end: appends what is still due. An upstream that
    /// fails has no end; what was held back is lost with it.
    pub fn finish(self, out: &mut BytesMut) -> AnswerNotes {
        let Self {
            splitter,
            mut rewriter,
        } = self;
        splitter.finish(|event, data| rewriter.take(event, data, out));
        rewriter.let_go(out);
        if rewriter.end == End::Early && !rewriter.done {
            write_done(out);
        }
        rewriter.assembler.notes()
    }
}

#[derive(Debug)]
struct Rewriter {
    assembler: Assembler,
    /// The model's name to tell.
    model: Option<String>,
    /// The last chunk with a choice, a pattern for further ones.
    last: String,
    end: End,
    /// `[DONE]` has passed.
    done: bool,
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It goes on.
    Open,
    /// The upstream has said why it ended, or that it failed.
    Said,
    /// It was ended here.
    Early,
}

impl Rewriter {
    fn take(&mut self, event: &[u8], data: Option<&[u8]>, out: &mut BytesMut) {
        let text = data.and_then(|data| std::str::from_utf8(data).ok());
        if text == Some("[DONE]") {
            self.let_go(out);
            self.done = true;
        }
        let members = text.and_then(raw::members);
        if members
            .as_ref()
            .is_some_and(|members| raw::find(members, "error").is_some())
        {
            self.end = End::Said;
        }
        match (text, members.as_deref().and_then(Chunk::of)) {
            // What the upstream says after its answer was ended.
            (Some(_), Some(_)) if self.end == End::Early => {}
            (Some(text), Some(chunk)) if self.end == End::Open => {
                self.chunk(event, text, &chunk, out)
            }
            _ => self.pass(event, members.as_deref().unwrap_or_default(), out),
        }
    }

    /// Passes an event whose text stays as it is.
    fn pass(&self, event: &[u8], members: &[Member<'_>], out: &mut BytesMut) {
        if self.model.is_none() || raw::find(members, MODEL).is_none() {
            return out.put_slice(event);
        }
        let mut changes = Changes::default();
        self.rename(&mut changes);
        write_event(out, members, changes);
    }

    fn rename<'c>(&'c self, changes: &mut Changes<'c>) {
        if let Some(model) = &self.model {
            changes.field_with(&[MODEL], move |out, _| json::write(out, model));
        }
    }

    fn chunk(&mut self, event: &[u8], text: &str, chunk: &Chunk<'_>, out: &mut BytesMut) {
        text.clone_into(&mut self.last);
        let content = chunk
            .delta(CONTENT)
            .and_then(raw::string)
            .unwrap_or_default();
        let thought = reasoning(&chunk.delta).unwrap_or_default();
        let mut events = Vec::new();
        self.assembler
            .push_reasoning(thought.clone(), 0, &mut events);
        self.assembler.push(&content, 0, &mut events);
        let finish = raw::find(&chunk.choice, "finish_reason").filter(|reason| *reason != "null");
        if finish.is_some() || self.assembler.stopped() {
            self.assembler.finish(
                finish.map_or(FinishReason::Stop, finish_reason),
                &mut events,
            );
            self.end = if finish.is_some() {
                End::Said
            } else {
                End::Early
            };
        }
        let stopped = self.assembler.stopped();
        let said = match (thought.is_empty(), content.is_empty()) {
            (true, true) => vec![],
            (true, false) => vec![Event::Content(content)],
            (false, true) => vec![Event::Reasoning(thought)],
            (false, false) => vec![Event::Reasoning(thought), Event::Content(content)],
        };
        if events == said && !stopped {
            return self.pass(event, &chunk.members, out);
        }
        self.write(
            chunk,
            &events,
            finish.map(|reason| if stopped { "\"stop\"" } else { reason }),
            out,
        );
    }

    /// Writes a chunk anew: what else it says, the text, and the end.
    fn write(&self, chunk: &Chunk<'_>, events: &[Event], finish: Option<&str>, out: &mut BytesMut) {
        let finish = finish.or((self.end == End::Early).then_some("\"stop\""));
        let says_more = chunk.delta.iter().any(|member| {
            member.name != CONTENT && !REASONING.contains(&&*member.name) && member.value != "null"
        });
        // What belongs to the whole chunk, token counts for one, is written once.
        let mut whole = finish.is_none();
        if says_more {
            self.put(chunk, out, "null", std::mem::take(&mut whole), |delta| {
                write_rest(chunk, delta)
            });
        }
        for event in events {
            let (name, text) = match event {
                Event::Content(text) => (CONTENT, text),
                Event::Reasoning(text) => ("reasoning_content", text),
                // A stream cannot take its text back, and calls are the upstream's.
                Event::ContentWasReasoning | Event::ToolCall { .. } => continue,
            };
            self.put(chunk, out, "null", std::mem::take(&mut whole), |delta| {
                let mut object = raw::ObjectWriter::new(delta);
                object.put(name, text);
                object.end();
            });
        }
        if let Some(finish) = finish {
            self.put(chunk, out, finish, true, |delta| delta.put_slice(b"{}"));
        } else if whole && chunk.counts() {
            self.put(chunk, out, "null", true, |delta| delta.put_slice(b"{}"));
        }
    }

    /// Writes an event with a chunk's fields, the `whole` of them or those that every chunk has.
    fn put(
        &self,
        chunk: &Chunk<'_>,
        out: &mut BytesMut,
        finish: &str,
        whole: bool,
        delta: impl Fn(&mut Vec<u8>),
    ) {
        let mut choice = Changes::default();
        choice.field_with(&["delta"], |out, _| delta(out));
        choice.field_with(&["finish_reason"], |out, _| {
            out.put_slice(finish.as_bytes());
        });
        if !whole {
            choice.remove(&["logprobs"]);
        }
        let mut text = Vec::new();
        write(&mut text, &chunk.choice, choice);
        let mut members = Changes::default();
        self.rename(&mut members);
        members.field_with(&["choices"], |out, _| {
            raw::write_list(out, [&text], |choice, out| out.put_slice(choice));
        });
        if !whole {
            members.remove(&["usage"]);
            members.remove(&["timings"]);
        }
        write_event(out, &chunk.members, members);
    }

    /// Lets go of what the assembler holds, if the upstream has not said that the answer is at its end.
    fn let_go(&mut self, out: &mut BytesMut) {
        if self.end != End::Open {
            return;
        }
        self.end = End::Said;
        let mut events = Vec::new();
        self.assembler.finish(FinishReason::Stop, &mut events);
        let last = std::mem::take(&mut self.last);
        let members = raw::members(&last).unwrap_or_default();
        if let Some(mut chunk) = Chunk::of(&members) {
            chunk.delta.clear();
            chunk
                .members
                .retain(|member| !COUNTS.contains(&&*member.name));
            self.write(&chunk, &events, None, out);
        }
    }
}

fn write_event(out: &mut BytesMut, members: &[Member<'_>], changes: Changes<'_>) {
    let mut event = b"data: ".to_vec();
    write(&mut event, members, changes);
    event.put_slice(b"\n\n");
    out.put_slice(&event);
}

/// Top-level fields that count tokens and time.
const COUNTS: [&str; 2] = ["usage", "timings"];

/// A chunk with the answer's choice in it.
struct Chunk<'a> {
    members: Vec<Member<'a>>,
    choice: Vec<Member<'a>>,
    delta: Vec<Member<'a>>,
}

impl<'a> Chunk<'a> {
    fn of(members: &[Member<'a>]) -> Option<Self> {
        let choices = raw::elements(raw::find(members, "choices")?)?;
        let choice = raw::members(choices.first()?)?;
        let delta = raw::find(&choice, "delta").and_then(raw::members);
        Some(Self {
            members: members.to_vec(),
            choice,
            delta: delta.unwrap_or_default(),
        })
    }

    fn delta(&self, name: &str) -> Option<&'a str> {
        raw::find(&self.delta, name)
    }

    /// Whether it counts tokens or time.
    fn counts(&self) -> bool {
        let counted =
            |member: &Member<'_>| COUNTS.contains(&&*member.name) && member.value != "null";
        self.members.iter().any(counted)
    }
}

/// What a delta says beside its text.
fn write_rest(chunk: &Chunk<'_>, delta: &mut Vec<u8>) {
    let mut changes = Changes::default();
    changes.remove(&[CONTENT]);
    changes.remove(REASONING);
    write(delta, &chunk.delta, changes);
}
