//! Compression of what a record says, from a dictionary of what most records say.

use std::io;

use zstd::bulk::{Compressor, Decompressor};

/// What the first records compress from: the keys of their JSON, traces of the shipped rules, common words. A log keeps
/// its own copy, so that this one may change. zstd refers best to what stands last.
const DICTIONARY: &[u8] = include_bytes!("dictionary.txt");
/// What stands before the text of every dictionary: a header as of [RFC 8878, section 6][format], with the number 0, so
/// that records need not name it. Its tables say how often each byte and each length comes, in JSON of chats and tasks in
/// English, German, Russian, Chinese and Arabic, as `zstd --train` counts. Without them every record brings tables of its
/// own, which takes twice the time and an eighth more room.
///
/// [format]: https://www.rfc-editor.org/rfc/rfc8878#section-6
const TABLES: &[u8] = include_bytes!("dictionary.tables");
/// Size of a dictionary's text.
const DICTIONARY_BYTES: usize = 48 << 10;
/// Level 3 gains 4 % on chats. Its tables take twelve times the room, which the processor's caches have not for somebody
/// who comes once a second.
const LEVEL: i32 = 1;
/// No record is larger: requests have a limit, and their texts are kept once.
const LARGEST: usize = 1 << 30;

/// A dictionary of these examples, which come newest first, and as far as there is room of what we know of all logs. Its
/// tables are not trained anew: that leaves 6 MiB of memory behind.
pub(super) fn dictionary(newest: Vec<Vec<u8>>) -> Vec<u8> {
    let mut room = DICTIONARY_BYTES;
    let mut parts = Vec::new();
    for mut example in newest {
        example.truncate(room);
        room -= example.len();
        parts.push(example);
    }
    if room > 0 {
        let rest = DICTIONARY.len().saturating_sub(room);
        parts.push(DICTIONARY.get(rest..).unwrap_or_default().to_vec());
    }
    parts.push(TABLES.to_vec());
    // What stands last is the cheapest to refer to.
    parts.reverse();
    parts.concat()
}

/// Compresses records.
pub(super) struct Packer(Compressor<'static>);

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

impl Packer {
    pub(super) fn new(dictionary: &[u8]) -> io::Result<Self> {
        Compressor::with_dictionary(LEVEL, dictionary).map(Self)
    }

    pub(super) fn pack(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(data)
    }
}

/// Decompresses records that were made with one dictionary.
pub(in crate::promptlog) struct Unpacker(Decompressor<'static>);

impl Unpacker {
    pub(in crate::promptlog) fn new(dictionary: &[u8]) -> io::Result<Self> {
        Decompressor::with_dictionary(dictionary).map(Self)
    }

    pub(in crate::promptlog) fn unpack(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        self.0.decompress(data, LARGEST)
    }
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unpacker")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &[u8] = br#"{"request":"7","texts":["What do you know of heat pumps?"]}"#;

    #[test]
    fn tables_save_room() {
        let record = br#"{"request":"8","texts":["Why is the sky blue, and why red of an evening?", "Air scatters short waves more than long ones; in the evening light has a longer way, on which most of what is blue is lost."]}"#;
        let dictionary = dictionary(vec![EXAMPLE.to_vec()]);
        let text = dictionary.strip_prefix(TABLES).unwrap();
        let size = |dictionary: &[u8]| {
            let packed = Packer::new(dictionary).unwrap().pack(record).unwrap();
            let mut unpacker = Unpacker::new(dictionary).unwrap();
            assert_eq!(unpacker.unpack(&packed).unwrap(), record);
            packed.len()
        };
        let (with, without) = (size(&dictionary), size(text));
        assert!(with * 10 < without * 9, "{with} {without}");
    }
}
