//! Wire formats and the one internal chat form. Nothing behind this room knows how a client spells things.
//!
//! Pure code: bytes in, values out and the other way round. No sockets, no engine.

pub mod openai;
pub mod sse;
