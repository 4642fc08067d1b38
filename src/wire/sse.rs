//! Reading server-sent events that pass by.
//!
//! Streams are relayed to somebody else: what cannot be read is no error, and [`SseSplitter`] gives every byte back.

use std::mem;

use memchr::memchr2;

/// Longest event that is looked at, in bytes; longer ones are skipped. A chunk of an answer has a few hundred.
const MAX_EVENT: usize = 1 << 20;

/// Finds the events of a stream, however it is cut into pieces.
#[derive(Debug, Default)]
pub struct SseReader {
    /// The line so far.
    line: Vec<u8>,
    /// The data of the event so far; every line of it ends with a line feed.
    data: Vec<u8>,
    /// The event is longer than anyone looks at.
    skipping: bool,
    /// The last byte was a carriage return, which a line feed may still belong to.
    after_return: bool,
    /// The first line is done: a byte order mark may no longer come.
    begun: bool,
}

impl SseReader {
    /// Takes the next piece and calls `on_data` with the data of every event that it completes, lines joined by
    /// line feeds. Comments, other fields and events without data are passed over.
    pub fn push(&mut self, piece: &[u8], mut on_data: impl FnMut(&[u8])) {
        let mut rest = piece;
        if self.after_return && !rest.is_empty() {
            self.after_return = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (line, tail) = rest.split_at(end);
            self.complete(line, &mut on_data);
            rest = match tail {
                [b'\r', b'\n', tail @ ..] => tail,
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                [_, tail @ ..] => tail,
                [] => &[],
            };
        }
        self.add(rest);
    }

    /// Whether nothing that has come belongs to the data of the next event.
    #[must_use]
    pub fn is_between(&self) -> bool {
        let is_empty = self.line.is_empty() && self.data.is_empty();
        is_empty && !self.skipping && !self.after_return
    }

    /// Ends the stream: calls `on_data` with an event that lacks only its blank line.
    pub fn finish(mut self, mut on_data: impl FnMut(&[u8])) {
        self.complete(&[], &mut on_data);
        self.complete(&[], &mut on_data);
    }

    /// Takes the rest of a line; one that came whole is not copied.
    fn complete(&mut self, part: &[u8], on_data: &mut impl FnMut(&[u8])) {
        if self.line.is_empty() && self.has_room(part) {
            self.end_line(part, on_data);
        } else {
            self.add(part);
            let mut line = mem::take(&mut self.line);
            self.end_line(&line, on_data);
            line.clear();
            self.line = line;
        }
    }

    fn has_room(&self, part: &[u8]) -> bool {
        self.line.len() + self.data.len() + part.len() <= MAX_EVENT
    }

    fn add(&mut self, part: &[u8]) {
        if self.has_room(part) {
            self.line.extend_from_slice(part);
        } else {
            self.skipping = true;
            // Whether the line is blank must be known; what is in it not.
            self.line.clear();
            self.line.push(b':');
        }
    }

    fn end_line(&mut self, line: &[u8], on_data: &mut impl FnMut(&[u8])) {
        let line = if self.begun {
            line
        } else {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
        };
        self.begun = true;
        if line.is_empty() {
            if let (false, Some((_, data))) = (self.skipping, self.data.split_last()) {
                on_data(data);
            }
            self.data.clear();
            self.skipping = false;
        } else if let Some(value) = line.strip_prefix(b"data") {
            let value = match value {
                [] => Some(value),
                [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
                _ => None,
            };
            if let Some(value) = value {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
        }
    }
}

/// Cuts a stream into its events with all their bytes, however it is cut into pieces.
#[derive(Debug, Default)]
pub struct SseSplitter {
    /// The event so far.
    event: Vec<u8>,
    /// Bytes of the line so far.
    line: usize,
    /// The event is longer than anyone looks at; its beginning is gone already.
    skipping: bool,
    /// The last byte was a carriage return, which a line feed may still belong to.
    after_return: bool,
}

impl SseSplitter {
    /// Takes the next piece and calls `on_event` for every event that it completes, with the bytes of the event and
    /// its data, lines joined by line feeds. Comments and the like are events without data. All bytes together are
    /// the stream.
    pub fn push(&mut self, piece: &[u8], mut on_event: impl FnMut(&[u8], Option<&[u8]>)) {
        for byte in piece.iter().copied() {
            self.event.push(byte);
            let second_half = mem::take(&mut self.after_return) && byte == b'\n';
            match byte {
                _ if second_half => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    if mem::take(&mut self.line) == 0 {
                        self.release(&mut on_event);
                        self.skipping = false;
                    }
                }
                _ => self.line += 1,
            }
            if self.event.len() >= MAX_EVENT {
                self.skipping = true;
                self.release(&mut on_event);
            }
        }
    }

    /// Ends the stream: calls `on_event` with an event that lacks its blank line.
    pub fn finish(mut self, mut on_event: impl FnMut(&[u8], Option<&[u8]>)) {
        if !self.event.is_empty() {
            self.release(&mut on_event);
        }
    }

    fn release(&mut self, on_event: &mut impl FnMut(&[u8], Option<&[u8]>)) {
        let mut data = None;
        if !self.skipping {
            let mut reader = SseReader::default();
            let mut keep = |found: &[u8]| data = Some(found.to_vec());
            reader.push(&self.event, &mut keep);
            reader.finish(keep);
        }
        on_event(&self.event, data.as_deref());
        self.event.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut reader = SseReader::default();
        let mut events = Vec::new();
        let mut keep = |data: &[u8]| events.push(String::from_utf8_lossy(data).into_owned());
        for piece in pieces {
            reader.push(piece, &mut keep);
        }
        reader.finish(keep);
        events
    }

    #[test]
    fn events_of_every_spelling() {
        let table: [(&str, &[&str]); 9] = [
            ("data: a\n\ndata:b\n\n", &["a", "b"]),
            ("data: a\r\n\r\ndata:  b\r\n\r\n", &["a", " b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            (
                ": waiting\n\nevent: x\nid: 1\ndata: a\nretry: 3\n\n",
                &["a"],
            ),
            ("\u{feff}data: a\n\n", &["a"]),
            ("data\n\ndatabase: x\n\n", &[""]),
            ("data: [DONE]", &["[DONE]"]),
            ("\n\n\n", &[]),
        ];
        for (stream, expected) in table {
            assert_eq!(read([stream.as_bytes()]), expected, "{stream:?}");
            assert_eq!(
                read(stream.as_bytes().chunks(1)),
                expected,
                "{stream:?} by byte"
            );
        }
    }

    #[test]
    fn an_endless_event_is_skipped_and_forgotten() {
        let filler = vec![b'x'; MAX_EVENT / 2];
        let mut reader = SseReader::default();
        let mut events = Vec::new();
        let mut keep = |data: &[u8]| events.push(data.to_vec());
        reader.push(b"data: ", &mut keep);
        for _ in 0..6 {
            reader.push(&filler, &mut keep);
            assert!(reader.line.len() <= MAX_EVENT);
        }
        reader.push(b"\n\ndata: a\n\n", &mut keep);
        assert_eq!(events, [b"a"]);
    }

    /// The events' bytes and data.
    fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut splitter = SseSplitter::default();
        let mut events = Vec::new();
        let mut keep =
            |event: &[u8], data: Option<&[u8]>| events.push((text(event), data.map(text)));
        for piece in pieces {
            splitter.push(piece, &mut keep);
        }
        splitter.finish(keep);
        events
    }

    #[test]
    fn events_keep_their_bytes() {
        let stream = ": hi\n\nevent: x\ndata: a\r\n\r\ndata: b\ndata: c\n\n\ndata: d";
        let events = split([stream.as_bytes()]);
        let told: Vec<_> = events
            .iter()
            .map(|(event, data)| (&**event, data.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                (": hi\n\n", None),
                ("event: x\ndata: a\r\n\r", Some("a")),
                ("\ndata: b\ndata: c\n\n", Some("b\nc")),
                ("\n", None),
                ("data: d", Some("d")),
            ]
        );
    }

    #[test]
    fn an_endless_event_passes_unread() {
        let mut stream = b"data: ".to_vec();
        stream.resize(3 * MAX_EVENT, b'x');
        stream.extend(b"\n\ndata: a\n\n");
        let events = split([stream.as_slice()]);
        assert!(events.iter().all(|(event, _)| event.len() <= MAX_EVENT));
        let data: Vec<_> = events
            .iter()
            .filter_map(|(_, data)| data.as_deref())
            .collect();
        assert_eq!(data, ["a"]);
        let bytes: usize = events.iter().map(|(event, _)| event.len()).sum();
        assert_eq!(bytes, stream.len());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bytes_and_data(
            stream in "(data|[a:\n\r ]|data: |\n\n|\r\n){0,20}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let bytes = stream.as_bytes();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            let whole = split([bytes]);
            prop_assert_eq!(split(pieces), whole.clone());
            let data: Vec<String> = whole.iter().filter_map(|(_, data)| data.clone()).collect();
            prop_assert_eq!(data, read([bytes]));
            let text: String = whole.into_iter().map(|(event, _)| event).collect();
            prop_assert_eq!(text, stream);
        }

        #[test]
        fn any_split_gives_the_same_events(
            stream in "(data|[a:\n\r \u{feff}]|data: |\n\n|\r\n){0,20}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let bytes = stream.as_bytes();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(read(pieces), read([bytes]));
        }
    }
}
