//! The headers that pass a proxy, and those that do not.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use pingora_http::{RequestHeader, ResponseHeader};

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

/// A request's header as it goes to an upstream.
pub(super) struct RequestHead<'a> {
    pub(super) method: &'static str,
    pub(super) base_path: &'a str,
    /// Below the base path, query included.
    pub(super) path: &'a str,
    pub(super) authority: &'a str,
    pub(super) api_key: Option<&'a str>,
    /// Length of the body, if there is to be one.
    pub(super) length: Option<usize>,
}

impl RequestHead<'_> {
    /// The header's bytes: the client's headers in its order and spelling, less those that do not pass.
    pub(super) fn to_bytes(&self, client: Option<&RequestHeader>) -> Bytes {
        let mut head = BytesMut::with_capacity(1024);
        for part in [self.method, " ", self.base_path, self.path, " HTTP/1.1\r\n"] {
            head.put_slice(part.as_bytes());
        }
        put(&mut head, b"Host", self.authority.as_bytes());
        if let Some(client) = client {
            for (name, value) in client.case_header_iter() {
                if self.passes(name.as_slice(), &client.headers) {
                    put(&mut head, name.as_slice(), value.as_bytes());
                }
            }
        }
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

    fn passes(&self, name: &[u8], headers: &HeaderMap) -> bool {
        let own = OWN_OF_REQUEST
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
        let replaced = self.api_key.is_some() && name.eq_ignore_ascii_case(b"authorization");
        !own && !replaced && !is_hop_by_hop(name, headers)
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

/// An upstream's answer as it goes to the client, and the length of its body where it is known.
pub(super) fn answer(upstream: &ResponseHeader) -> (ResponseHeader, Option<usize>) {
    let mut header = upstream.clone();
    let doomed: Vec<_> = upstream
        .headers
        .keys()
        .filter(|name| is_hop_by_hop(name.as_str().as_bytes(), &upstream.headers))
        .cloned()
        .collect();
    for name in &doomed {
        header.remove_header(name);
    }
    header.remove_header(&header::TRANSFER_ENCODING);
    header.set_version(http::Version::HTTP_11);
    let length = header
        .remove_header(&header::CONTENT_LENGTH)
        .and_then(|value: HeaderValue| value.to_str().ok()?.split(',').next()?.trim().parse().ok());
    (header, length)
}
