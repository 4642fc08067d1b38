//! The headers that pass a proxy, and those that do not.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, header};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::gateway::exchange::empty_response;

/// Headers about one connection only (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// What the gateway sets or answers itself in a request.
const OWN_OF_REQUEST: [&str; 4] = ["host", "content-length", "transfer-encoding", "expect"];

/// The client's header fields that go along to an upstream, in its order and spelling; its key does with `keep_key`. An
/// answer that is to be changed is asked for `plain`, without compression.
pub(super) fn passing(client: &RequestHeader, keep_key: bool, plain: bool) -> Bytes {
    let mut fields = BytesMut::with_capacity(1024);
    for (name, value) in client.case_header_iter() {
        let name = name.as_slice();
        let own = OWN_OF_REQUEST
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
        let replaced = !keep_key && name.eq_ignore_ascii_case(b"authorization")
            || plain && name.eq_ignore_ascii_case(b"accept-encoding");
        if !own && !replaced && !is_hop_by_hop(name, &client.headers) {
            put(&mut fields, name, value.as_bytes());
        }
    }
    if plain {
        put(&mut fields, b"Accept-Encoding", b"identity");
    }
    fields.freeze()
}

/// A request's header as it goes to an upstream.
pub(super) struct RequestHead<'a> {
    pub(super) method: &'static str,
    pub(super) base_path: &'a str,
    /// Below the base path, query included.
    pub(super) path: &'a str,
    pub(super) authority: &'a str,
    /// The client's fields that go along.
    pub(super) fields: &'a [u8],
    pub(super) api_key: Option<&'a str>,
    /// Length of the body, if there is to be one.
    pub(super) length: Option<usize>,
}

impl RequestHead<'_> {
    /// The header's bytes.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut head = BytesMut::with_capacity(self.fields.len() + 256);
        for part in [self.method, " ", self.base_path, self.path, " HTTP/1.1\r\n"] {
            head.put_slice(part.as_bytes());
        }
        put(&mut head, b"Host", self.authority.as_bytes());
        head.put_slice(self.fields);
        if let Some(key) = self.api_key {
            put(
                &mut head,
                b"Authorization",
                format!("Bearer {key}").as_bytes(),
            );
        }
        if let Some(length) = self.length {
            put(&mut head, b"Content-Length", length.to_string().as_bytes());
        }
        head.put_slice(b"\r\n");
        head.freeze()
    }
}

fn put(head: &mut BytesMut, name: &[u8], value: &[u8]) {
    head.put_slice(name);
    head.put_slice(b": ");
    head.put_slice(value);
    head.put_slice(b"\r\n");
}

/// Whether a header is about one connection only: by its name, or because `Connection` names it.
fn is_hop_by_hop(name: &[u8], headers: &HeaderMap) -> bool {
    HOP_BY_HOP
        .iter()
        .any(|hop| name.eq_ignore_ascii_case(hop.as_bytes()))
        || headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .any(|named| named.trim_ascii().eq_ignore_ascii_case(name))
}

/// An upstream's answer as it goes to the client, its fields in their order and spelling, and the length of its
/// body where it is known.
pub(super) fn answer(upstream: &ResponseHeader) -> (ResponseHeader, Option<usize>) {
    let mut header = ResponseHeader::build(upstream.status, Some(upstream.headers.len()))
        .unwrap_or_else(|_| empty_response(upstream.status));
    // Both fail on nothing that a header that was just read can hold.
    let _ = header.set_reason_phrase(upstream.get_reason_phrase());
    for (name, value) in upstream.case_header_iter() {
        if answer_passes(name.as_slice(), &upstream.headers) {
            let _ = header.append_header(name.clone(), value.clone());
        }
    }
    let length = upstream
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.split(',').next()?.trim().parse().ok());
    (header, length)
}

fn answer_passes(name: &[u8], headers: &HeaderMap) -> bool {
    let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    !framing
        .iter()
        .any(|own| name.eq_ignore_ascii_case(own.as_str().as_bytes()))
        && !is_hop_by_hop(name, headers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn upstream(fields: &[(&'static str, &str)]) -> ResponseHeader {
        let mut header = ResponseHeader::build(200, None).unwrap();
        for (name, value) in fields {
            header.append_header(*name, *value).unwrap();
        }
        header
    }

    #[test]
    fn an_answers_length_is_known_only_from_a_valid_length() {
        for (fields, expected) in [
            (&[("Content-Length", "12")][..], Some(12)),
            (&[("Content-Length", "12, 12")], Some(12)),
            (&[("Transfer-Encoding", "chunked")], None),
            (&[], None),
        ] {
            let (header, length) = answer(&upstream(fields));
            assert_eq!(length, expected, "{fields:?}");
            assert!(header.headers.is_empty(), "{fields:?}");
        }
    }

    #[test]
    fn fields_about_the_connection_are_left_out() {
        let (header, _) = answer(&upstream(&[
            ("Connection", "close, X-One"),
            ("Connection", "x-two"),
            ("X-One", "1"),
            ("X-Two", "2"),
            ("X-Three", "3"),
            ("Keep-Alive", "timeout=5"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
        ]));
        let names: Vec<&str> = header
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        assert_eq!(names, ["x-three", "set-cookie"]);
        assert_eq!(header.headers.get_all("set-cookie").iter().count(), 2);
    }
}
