//! Events that differ in their text alone, as most of a stream do: they are known without being read again.

use memchr::memchr_iter;

use super::chunk::{Chunks, Field, Place};
use crate::wire::sse::SseReader;

/// Reads a stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    events: SseReader,
    frame: Frame,
}

/// All bytes of the last event but its text.
#[derive(Debug, Default)]
struct Frame {
    /// Up to the text, with its first quote; empty where the event is not to be known again.
    before: Vec<u8>,
    /// From its second quote to the blank line.
    after: Vec<u8>,
    field: Field,
}

impl Events {
    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8], chunks: &mut Chunks) {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.events.is_between()
                && let Some((text, after)) = self.frame.strip(rest)
            {
                chunks.say(text, self.frame.field);
                rest = after;
            } else {
                let mut ends = memchr_iter(b'\n', rest).map(|end| end + 1);
                let end = ends.find(|end| rest.get(*end) == Some(&b'\n'));
                let end = end.map_or(rest.len(), |end| end + 1);
                let (event, after) = rest.split_at(end);
                self.read(event, chunks);
                rest = after;
            }
        }
    }

    /// Ends the stream.
    pub(super) fn finish(self, chunks: &mut Chunks) {
        self.events.finish(|data| {
            chunks.take(data);
        });
    }

    fn read(&mut self, part: &[u8], chunks: &mut Chunks) {
        let Self { events, frame } = self;
        frame.forget();
        let begins = events.is_between();
        let mut count = 0;
        events.push(part, |data| {
            count += 1;
            if let Some(place) = chunks.take(data) {
                frame.learn(part, data, &place);
            }
        });
        if !(begins && count == 1 && events.is_between()) {
            frame.forget();
        }
    }
}

impl Frame {
    /// The text of the event that is next, valid UTF-8, if it is like the last one, and what follows it.
    fn strip<'p>(&self, piece: &'p [u8]) -> Option<(&'p [u8], &'p [u8])> {
        if self.before.is_empty() {
            return None;
        }
        let rest = piece.strip_prefix(self.before.as_slice())?;
        // An escape is to be read, and a control character is no JSON.
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let (text, rest) = rest.split_at(end);
        let rest = rest.strip_prefix(self.after.as_slice())?;
        // Where one field of reasoning is empty, the next one counts.
        if text.is_empty() && self.field == Field::Reasoning {
            return None;
        }
        // Nearly every text is a word of ASCII, which is told in a third of the time.
        (text.is_ascii() || std::str::from_utf8(text).is_ok()).then_some((text, rest))
    }

    /// Takes note of an event whose data has its text in this place.
    fn learn(&mut self, event: &[u8], data: &[u8], place: &Place) {
        let Place { text, field } = place;
        let start = match event {
            [b'd', b'a', b't', b'a', b':', b' ', ..] => 6,
            _ => 5,
        };
        if let (Some(before), Some(after)) = (
            event.get(..start + text.start),
            event.get(start + text.end..),
        ) && before.starts_with(b"data:")
            && event
                .get(start..)
                .is_some_and(|rest| rest.starts_with(data))
        {
            self.before.extend_from_slice(before);
            self.after.extend_from_slice(after);
            self.field = *field;
        }
    }

    fn forget(&mut self) {
        self.before.clear();
        self.after.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::promptlog::reply::Reply;

    /// Reads a stream in these pieces; each event alone where none is to be known again.
    fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, knows: bool) -> Reply {
        let (mut events, mut chunks) = (Events::default(), Chunks::default());
        for piece in pieces {
            if knows {
                events.push(piece, &mut chunks);
            } else {
                events.read(piece, &mut chunks);
            }
        }
        events.finish(&mut chunks);
        chunks.into_reply()
    }

    #[test]
    fn an_event_that_differs_in_its_text_alone_is_known() {
        let event = |text: &str| {
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}],\"id\":1}}\n\n")
        };
        let mut events = Events::default();
        events.push(event("one").as_bytes(), &mut Chunks::default());
        let two = [event(" zwölf"), event("")].concat();
        let (text, rest) = events.frame.strip(two.as_bytes()).unwrap();
        assert_eq!(text, " zwölf".as_bytes());
        assert_eq!(events.frame.strip(rest), Some((&b""[..], &b""[..])));
        for other in [
            event("\\n"),
            event("\n"),
            event("a\",\"content\":\"b"),
            event("x").replace("1}", "2}"),
            event("x").replace("\n\n", "\n"),
            event("x").replace("data", " data"),
        ] {
            assert_eq!(events.frame.strip(other.as_bytes()), None, "{other}");
        }
        let mut garbled = event("x").into_bytes();
        for byte in garbled.iter_mut().filter(|byte| **byte == b'x') {
            *byte = 0xff;
        }
        assert_eq!(events.frame.strip(&garbled), None);
    }

    /// Events as servers send them: most are alike. In some, bytes are no UTF-8.
    fn event() -> impl Strategy<Value = Vec<u8>> {
        let text = r#"[a-c ]{0,3}|ü|ÿ|\\n|\\"|\\u00e4"#;
        let delta = prop_oneof![
            6 => Just(r#""content":"TEXT""#),
            2 => Just(r#""content":null,"reasoning":"TEXT""#),
            1 => Just(r#""reasoning_content":"TEXT","reasoning":"TEXT""#),
            1 => Just(r#""reasoning_content":"TEXT","reasoning":"a""#),
            1 => Just(r#""content":"TEXT","thinking":"TEXT""#),
            1 => Just(r#""content":"TEXT","tool_calls":[{"index":0,"id":"c"}]"#),
            1 => Just(r#""name":"ÿÿÿÿÿÿ","content":"TEXT","role":"""#),
            1 => Just(r#""name":"ÿÿÿÿÿÿ","content":"TEXT","role":"assistant""#),
        ];
        let choice = prop_oneof![
            6 => Just(""),
            1 => Just(r#","finish_reason":"stop""#),
            1 => Just(r#","index":1"#),
        ];
        let usage = prop_oneof![
            6 => Just(""),
            1 => Just(r#","usage":{"completion_tokens":1}"#),
            1 => Just(r#","usage":{"completion_tokens":2}"#),
        ];
        let end = prop_oneof![6 => Just("\n\n"), 1 => Just("\r\n\r\n"), 1 => Just("\n: beat\n\n")];
        let chunk =
            (text, delta, choice, usage, end).prop_map(|(text, delta, choice, usage, end)| {
                let delta = delta.replace("TEXT", &text);
                format!("data: {{\"choices\":[{{\"delta\":{{{delta}}}{choice}}}]{usage}}}{end}")
            });
        let other = prop_oneof![
            Just("data: [DONE]\n\n".to_owned()),
            Just(": beat\n\n".to_owned()),
            Just("event: x\n".to_owned()),
            Just("\u{feff}".to_owned()),
            Just("data: {\"usage\":{\"prompt_tokens\":7}}\n\n".to_owned()),
        ];
        prop_oneof![8 => chunk, 1 => other].prop_map(|event| {
            let pieces: Vec<&[u8]> = event.split('ÿ').map(str::as_bytes).collect();
            pieces.join(&0xff)
        })
    }

    proptest! {
        #[test]
        fn what_is_known_says_the_same_as_what_is_read_however_it_is_cut(
            events in prop::collection::vec(event(), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = events.concat();
            let by_event = events.iter().map(Vec::as_slice);
            let all_read = read([bytes.as_slice()], false);
            prop_assert_eq!(read(by_event, true), all_read.clone());
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(read(pieces, true), all_read);
        }
    }
}
