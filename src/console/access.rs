//! Who may use the admin port, and from where.
//!
//! Three questions, in this order: does the request name this machine (a page that had its own name resolve to us
//! does not), does it come from our own page (another page could have the browser send it), and who asks.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{Admin, session};

/// The console sends this with whatever changes something. Another site's page cannot without our leave, which it
/// asks for first and does not get.
pub(super) const CONSOLE: HeaderName = HeaderName::from_static("x-rkgate-console");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The name in `Host` is not ours.
    #[error(
        "`{0}` is not a name of this machine; use its address or localhost, or set up API keys (auth.keys_file)"
    )]
    ForeignHost(String),
    /// The request comes from another site's page.
    #[error("this request comes from another site's page")]
    CrossSite,
    /// A browser sent it without the header that only our page sends.
    #[error("a browser's request needs the header x-rkgate-console: 1")]
    NotTheConsole,
    /// There are keys, and none was presented that opens the admin port.
    #[error("this needs an API key of an administrator: Authorization: Bearer <key>")]
    NoKey,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::ForeignHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::CrossSite | Self::NotTheConsole => StatusCode::FORBIDDEN,
            Self::NoKey => StatusCode::UNAUTHORIZED,
        };
        let error = json!({ "error": { "message": self.to_string() } });
        let mut response = (status, Json(error)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let bearer = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

/// Lets through what names this machine and is not another site's doing.
pub(super) async fn from_here(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let named = if admin.config.keys.is_empty() {
        // Without keys the name is all that tells our page from one whose name was made to resolve to us. With them it
        // does not matter: the session's cookie belongs to our name.
        own_name(headers, admin.board.hostname().as_deref())
    } else {
        Ok(())
    };
    match named.and_then(|()| own_page(request.method(), headers)) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Where there are keys, state is for those who have an administrator's; health and metrics are for probes, which have none.
pub(super) async fn with_key(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    if is_known(&admin, request.headers()) {
        next.run(request).await
    } else {
        Refusal::NoKey.into_response()
    }
}

/// Whether no key is needed, or one or a session was presented.
pub(super) fn is_known(admin: &Admin, headers: &HeaderMap) -> bool {
    let keys = &admin.config.keys;
    let has_key = || bearer(headers).is_some_and(|key| keys.admin(key).is_some());
    let has_session = || session::token(headers).is_some_and(|token| admin.sessions.use_one(token));
    keys.is_empty() || has_key() || has_session()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(value.strip_prefix("Bearer ")?.trim())
}

/// `Host` is an address, `localhost`, or the machine's own name. An address cannot be made to resolve to us.
fn own_name(headers: &HeaderMap, machine: Option<&str>) -> Result<(), Refusal> {
    // Every browser sends one.
    let Some(host) = headers.get(header::HOST) else {
        return Ok(());
    };
    let foreign = || Refusal::ForeignHost(String::from_utf8_lossy(host.as_bytes()).into_owned());
    let authority = host
        .to_str()
        .ok()
        .and_then(|host| host.parse::<Authority>().ok());
    let authority = authority.ok_or_else(foreign)?;
    let name = authority
        .host()
        .trim_matches(['[', ']'])
        .to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let is_machine = machine.is_some_and(|machine| {
        let machine = machine.to_ascii_lowercase();
        name == machine || name.strip_suffix(".local") == Some(&machine)
    });
    let is_local = name == "localhost" || name.ends_with(".localhost");
    if is_local || is_machine || name.parse::<IpAddr>().is_ok() {
        Ok(())
    } else {
        Err(foreign())
    }
}

/// A browser's request comes from a page of this very port, and says so where it changes something.
fn own_page(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let site = headers.get(FETCH_SITE).map(header::HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return Err(Refusal::CrossSite);
    }
    if [Method::GET, Method::HEAD].contains(method) {
        return Ok(());
    }
    let origin = headers
        .get(header::ORIGIN)
        .map(header::HeaderValue::as_bytes);
    if let Some(origin) = origin {
        // The scheme is not ours to know: there may be a proxy with TLS in front.
        let authority = origin.splitn(2, |byte| *byte == b':').nth(1);
        let authority = authority.and_then(|rest| rest.strip_prefix(b"//"));
        let host = headers.get(header::HOST).map(header::HeaderValue::as_bytes);
        let same = authority
            .zip(host)
            .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
        if !same {
            return Err(Refusal::CrossSite);
        }
    }
    // A program that is no browser sends none of the three, and cannot be made to send anything by a page.
    let by_browser = origin.is_some() || site.is_some() || headers.contains_key(header::COOKIE);
    if by_browser && !headers.contains_key(CONSOLE) {
        return Err(Refusal::NotTheConsole);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn addresses_and_our_own_names_are_ours() {
        for host in [
            "127.0.0.1:3589",
            "localhost:3589",
            "LOCALHOST",
            "localhost.",
            "console.localhost:1",
            "[::1]:3589",
            "192.168.1.20:3589",
            "Rock5b:3589",
            "rock5b.local",
        ] {
            assert_eq!(
                own_name(&headers(&[("host", host)]), Some("rock5b")),
                Ok(()),
                "{host}"
            );
        }
        assert_eq!(own_name(&headers(&[]), None), Ok(()));
    }

    #[test]
    fn names_that_can_be_made_to_resolve_to_us_are_not() {
        for host in [
            "evil.example:3589",
            "localhost.evil.example",
            "rock5b.evil.example",
            "127.0.0.1.evil.example",
            "rock5b@evil.example:3589",
            "",
            "a b",
        ] {
            let refused = own_name(&headers(&[("host", host)]), Some("rock5b"));
            assert!(matches!(refused, Err(Refusal::ForeignHost(_))), "{host}");
        }
        let unnamed = own_name(&headers(&[("host", "rock5b")]), None);
        assert!(unnamed.is_err());
    }

    #[test]
    fn the_console_and_programs_may_change_things() {
        let console = [
            ("host", "127.0.0.1:3589"),
            ("origin", "http://127.0.0.1:3589"),
            ("sec-fetch-site", "same-origin"),
            ("x-rkgate-console", "1"),
        ];
        assert_eq!(own_page(&Method::PUT, &headers(&console)), Ok(()));
        let behind_tls = [
            ("host", "board.example"),
            ("origin", "https://board.example"),
            ("x-rkgate-console", "1"),
        ];
        assert_eq!(own_page(&Method::PUT, &headers(&behind_tls)), Ok(()));
        assert_eq!(
            own_page(&Method::POST, &headers(&[("host", "localhost")])),
            Ok(())
        );
    }

    #[test]
    fn other_pages_may_not() {
        for (origin, site) in [
            ("http://evil.example", None),
            ("http://127.0.0.1:8080", None),
            ("null", None),
            ("http://127.0.0.1:3589", Some("cross-site")),
            ("http://127.0.0.1:3589", Some("same-site")),
        ] {
            let mut lines = vec![
                ("host", "127.0.0.1:3589"),
                ("origin", origin),
                ("x-rkgate-console", "1"),
            ];
            lines.extend(site.map(|site| ("sec-fetch-site", site)));
            let refused = own_page(&Method::POST, &headers(&lines));
            assert_eq!(refused, Err(Refusal::CrossSite), "{origin} {site:?}");
        }
        let reading = headers(&[("sec-fetch-site", "cross-site")]);
        assert_eq!(own_page(&Method::GET, &reading), Err(Refusal::CrossSite));
    }

    #[test]
    fn a_browser_without_the_consoles_header_may_not() {
        for line in [
            ("origin", "http://127.0.0.1:3589"),
            ("cookie", "rkgate_session=1"),
            ("sec-fetch-site", "same-origin"),
        ] {
            let headers = headers(&[("host", "127.0.0.1:3589"), line]);
            assert_eq!(
                own_page(&Method::POST, &headers),
                Err(Refusal::NotTheConsole),
                "{line:?}"
            );
            assert_eq!(own_page(&Method::GET, &headers), Ok(()), "{line:?}");
        }
    }
}
