//! Writing JSON without intermediate values.

use bytes::BufMut;
use serde::Serialize;

/// Appends `value` as JSON.
pub(super) fn write<T: Serialize + ?Sized>(out: &mut impl BufMut, value: &T) {
    let written = serde_json::to_writer(out.writer(), value);
    // Memory takes any number of bytes, and no type of this room has a map with keys that are no strings.
    debug_assert!(written.is_ok(), "{written:?}");
}
