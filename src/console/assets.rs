//! The console's files, built from `console/` by `make console` and kept in the repository, so that Rust alone builds
//! rkgate.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

/// A file and its media type.
struct Asset {
    path: &'static str,
    media: &'static str,
    bytes: &'static [u8],
    /// What tells a browser whether it has this very file.
    tag: LazyLock<String>,
}

macro_rules! asset {
    ($name:literal, $media:literal) => {{
        const BYTES: &[u8] = include_bytes!(concat!("assets/", $name));
        Asset {
            path: concat!("/", $name),
            media: $media,
            bytes: BYTES,
            tag: LazyLock::new(|| tag(BYTES)),
        }
    }};
}

static ASSETS: [Asset; 4] = [
    asset!("app.js", "text/javascript; charset=utf-8"),
    asset!("editor.js", "text/javascript; charset=utf-8"),
    asset!("app.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
];
static PAGE: Asset = asset!("index.html", "text/html; charset=utf-8");

/// The console's pages, which are one file: it looks at the address itself.
const PAGES: [&str; 8] = [
    "/",
    "/log",
    "/log/{id}",
    "/log/request/{id}",
    "/policies",
    "/policies/{kind}/{name}",
    "/models",
    "/setup",
];

/// What a page may do: run and show what comes from this port, and nothing that stands in its own text. Prompts are
/// hostile text.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Routes to all files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let pages = PAGES.iter().map(|path| (*path, &PAGE));
    let files = ASSETS.iter().map(|asset| (asset.path, asset));
    pages
        .chain(files)
        .fold(Router::new(), |router, (path, asset)| {
            router.route(
                path,
                get(async move |headers: HeaderMap| serve(asset, &headers)),
            )
        })
}

fn serve(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let tag = asset.tag.as_str();
    let common: [(HeaderName, &str); 6] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        // Asked for every time and sent only after a new version was installed.
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, tag),
    ];
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        (StatusCode::NOT_MODIFIED, common).into_response()
    } else {
        (common, [(header::CONTENT_TYPE, asset.media)], asset.bytes).into_response()
    }
}

fn tag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_page_carries_nothing_that_its_own_policy_forbids() {
        let page = str::from_utf8(PAGE.bytes).unwrap();
        for inline in ["<style", "style=", "onload", "onclick", "http:", "https:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        let scripts: Vec<_> = page.split("<script").skip(1).collect();
        assert!(!scripts.is_empty() && scripts.iter().all(|it| it.contains("src=\"/app.js\"></")));
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let mut headers = HeaderMap::new();
        assert_eq!(serve(&PAGE, &headers).status(), StatusCode::OK);
        headers.insert(header::IF_NONE_MATCH, PAGE.tag.parse().unwrap());
        assert_eq!(serve(&PAGE, &headers).status(), StatusCode::NOT_MODIFIED);
    }
}
