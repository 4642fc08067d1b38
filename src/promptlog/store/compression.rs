//! Compression of what a record says, from a dictionary of what most records say.

use std::io;

use zstd::bulk::{Compressor, Decompressor};

/// What the first records compress from: the keys of their JSON, traces of the shipped rules, common words. A log keeps
/// its own copy, so that this one may change. Any text is a dictionary; zstd refers best to what stands last.
pub(super) const DICTIONARY: &[u8] = include_bytes!("dictionary.txt");

/// Higher levels gain 3 % on chats and cost as much again.
const LEVEL: i32 = 3;
/// No record is larger: requests have a limit, and their texts are kept once.
const LARGEST: usize = 1 << 30;

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
