//! Events that differ in their text alone, as most of a stream do: they are known without being read again.

use std::hash::{BuildHasher, Hasher};

use arrayvec::ArrayVec;
use foldhash::fast::RandomState;
use memchr::memchr_iter;

use super::{
    LARGEST,
    chunk::{Chunks, Field, Place},
};
use crate::wire::sse::SseReader;

/// Bytes of text that wait: what two lines of a cache have room for.
const WAITING: usize = 80;

/// Reads a stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    frame: Frame,
    events: SseReader,
}

/// What is known of the last event: all but its text.
///
/// A stream brings an event each few milliseconds, when nothing of it is in the processor's caches any more, and to follow
/// a reference costs more than the comparison. So all there is lies together, in two lines of a cache: the event's bytes
/// are known by their hash, keyed at random for each stream, and the last words wait here until there are more of them.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Frame {
    /// Bytes up to the text, with its first quote; 0 where the event is not to be known again, else no event is begun.
    before: u32,
    /// Bytes from the text's second quote to the blank line.
    after: u32,
    /// Of both.
    hash: u64,
    key: RandomState,
    /// Bytes of the stream that were taken.
    taken: usize,
    field: Field,
    /// The last text of this field.
    text: ArrayVec<u8, WAITING>,
}

const _: () = assert!(size_of::<Frame>() == 128);

impl Events {
    /// Takes a piece that is one event, if it is known but for its text. What is longer in all than is kept is left.
    pub(super) fn pass(&mut self, piece: &[u8], chunks: &mut Chunks) -> bool {
        let taken = self.frame.taken + piece.len();
        match self.frame.strip(piece) {
            Some((text, [])) if taken <= LARGEST => {
                self.frame.say(text, chunks);
                self.frame.taken = taken;
                true
            }
            _ => false,
        }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8], chunks: &mut Chunks) {
        self.frame.taken += piece.len();
        let mut rest = piece;
        while !rest.is_empty() {
            if let Some((text, after)) = self.frame.strip(rest) {
                self.frame.say(text, chunks);
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

    /// Bytes that were taken.
    pub(super) fn taken(&self) -> usize {
        self.frame.taken
    }

    /// Ends the stream.
    pub(super) fn finish(mut self, chunks: &mut Chunks) {
        self.frame.forget(chunks);
        self.events.finish(|data| {
            chunks.take(data);
        });
    }

    fn read(&mut self, part: &[u8], chunks: &mut Chunks) {
        let Self { events, frame } = self;
        frame.forget(chunks);
        let begins = events.is_between();
        let mut known = None;
        let mut count = 0;
        events.push(part, |data| {
            count += 1;
            known = chunks
                .take(data)
                .and_then(|place| Some((parts(part, data, &place)?, place.field)));
        });
        if let Some((parts, field)) = known
            && begins
            && count == 1
            && events.is_between()
        {
            frame.learn(parts, field);
        }
    }
}

/// What stands before and behind the text of an event whose data has its text in this place.
fn parts<'e>(event: &'e [u8], data: &[u8], place: &Place) -> Option<(&'e [u8], &'e [u8])> {
    let start = match event {
        [b'd', b'a', b't', b'a', b':', b' ', ..] => 6,
        _ => 5,
    };
    let before = event.get(..start + place.text.start)?;
    let after = event.get(start + place.text.end..)?;
    let is_all = before.starts_with(b"data:") && event.get(start..)?.starts_with(data);
    is_all.then_some((before, after))
}

impl Frame {
    /// The text of the event that is next, valid UTF-8, if it is like the last one, and what follows it.
    fn strip<'p>(&self, piece: &'p [u8]) -> Option<(&'p [u8], &'p [u8])> {
        if self.before == 0 {
            return None;
        }
        let (before, rest) = piece.split_at_checked(self.before as usize)?;
        // An escape is to be read, and a control character is no JSON.
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let (text, rest) = rest.split_at(end);
        let (after, rest) = rest.split_at_checked(self.after as usize)?;
        if self.hash(before, after) != self.hash {
            return None;
        }
        // Where one field of reasoning is empty, the next one counts.
        if text.is_empty() && self.field == Field::Reasoning {
            return None;
        }
        // Nearly every text is a word of ASCII, which is told in a third of the time.
        (text.is_ascii() || std::str::from_utf8(text).is_ok()).then_some((text, rest))
    }

    fn hash(&self, before: &[u8], after: &[u8]) -> u64 {
        let mut hasher = self.key.build_hasher();
        hasher.write(before);
        hasher.write(after);
        hasher.finish()
    }

    /// Takes note of an event with this before and behind its text.
    fn learn(&mut self, (before, after): (&[u8], &[u8]), field: Field) {
        if let (Ok(front), Ok(back)) = (before.len().try_into(), after.len().try_into()) {
            (self.before, self.after) = (front, back);
            self.hash = self.hash(before, after);
            self.field = field;
        }
    }

    /// Takes the text of an event that is known.
    fn say(&mut self, text: &[u8], chunks: &mut Chunks) {
        if self.text.try_extend_from_slice(text).is_err() {
            chunks.say(&self.text, self.field);
            chunks.say(text, self.field);
            self.text.clear();
        }
    }

    fn forget(&mut self, chunks: &mut Chunks) {
        chunks.say(&self.text, self.field);
        self.text.clear();
        self.before = 0;
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
                if !events.pass(piece, &mut chunks) {
                    events.push(piece, &mut chunks);
                }
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
