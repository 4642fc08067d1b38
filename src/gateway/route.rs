//! Which paths there are and what they take.

use http::Method;

use super::failure::Failure;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `POST` of one of the calls that name a model in their body.
    Call(Call),
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`; the id is decoded.
    Model(String),
    /// `OPTIONS` of any path: a browser asks whether it may call.
    Preflight,
    /// `GET /`: somebody looks whether anybody is there.
    Hello,
}

/// The calls that name a model in their body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completion,
    /// `/v1/embeddings`.
    Embeddings,
}

impl Call {
    /// The path below an API's base address.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completion => "/completions",
            Self::Embeddings => "/embeddings",
        }
    }
}

impl Route {
    /// Finds what a request asks for. The paths work with and without `/v1`.
    pub(super) fn find(method: &Method, path: &str) -> Result<Self, Failure> {
        if method == Method::OPTIONS {
            return Ok(Self::Preflight);
        }
        let below = path
            .strip_prefix("/v1")
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .unwrap_or(path);
        let trimmed = below.strip_suffix('/').unwrap_or(below);
        let (route, allow) = match trimmed {
            "/chat/completions" => (Self::Call(Call::Chat), "POST, OPTIONS"),
            "/completions" => (Self::Call(Call::Completion), "POST, OPTIONS"),
            "/embeddings" => (Self::Call(Call::Embeddings), "POST, OPTIONS"),
            "/models" => (Self::Models, "GET, HEAD, OPTIONS"),
            "" => (Self::Hello, "GET, HEAD, OPTIONS"),
            _ => match below.strip_prefix("/models/") {
                Some(id) => (Self::Model(percent_decoded(id)), "GET, HEAD, OPTIONS"),
                None => return Err(Failure::NoSuchPath(path.to_owned())),
            },
        };
        let allowed = match route {
            Self::Call(_) => method == Method::POST,
            _ => method == Method::GET || method == Method::HEAD,
        };
        if allowed {
            Ok(route)
        } else {
            Err(Failure::MethodNotAllowed { allow })
        }
    }
}

/// Model ids may hold `/`, `:` and spaces, which clients may send as they are or encoded.
fn percent_decoded(id: &str) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(id.len());
    let mut rest = id.as_bytes();
    while let [first, tail @ ..] = rest {
        let encoded = match rest {
            [b'%', high, low, tail @ ..] => {
                digit(*high).zip(digit(*low)).map(|digits| (digits, tail))
            }
            _ => None,
        };
        let (byte, tail) = match encoded {
            Some(((high, low), tail)) => ((high << 4 | low) as u8, tail),
            None => (*first, tail),
        };
        decoded.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn find(method: &str, path: &str) -> Result<Route, Failure> {
        Route::find(&method.parse().unwrap(), path)
    }

    #[test]
    fn finds_paths_with_and_without_v1() {
        for path in [
            "/v1/chat/completions",
            "/chat/completions",
            "/v1/chat/completions/",
        ] {
            assert_eq!(
                find("POST", path).unwrap(),
                Route::Call(Call::Chat),
                "{path}"
            );
        }
        assert_eq!(
            find("POST", "/v1/completions").unwrap(),
            Route::Call(Call::Completion)
        );
        assert_eq!(
            find("POST", "/v1/embeddings").unwrap(),
            Route::Call(Call::Embeddings)
        );
        for path in ["/v1/models", "/models", "/v1/models/"] {
            assert_eq!(find("GET", path).unwrap(), Route::Models, "{path}");
        }
        for path in ["/", "/v1", "/v1/"] {
            assert_eq!(find("GET", path).unwrap(), Route::Hello, "{path}");
        }
        assert_eq!(find("OPTIONS", "/anything").unwrap(), Route::Preflight);
    }

    #[test]
    fn decodes_model_ids() {
        for (path, id) in [
            ("/v1/models/qwen3-1.7b", "qwen3-1.7b"),
            ("/v1/models/org/name:tag", "org/name:tag"),
            ("/v1/models/org%2Fname%3Atag", "org/name:tag"),
            ("/v1/models/100%25%", "100%%"),
            ("/models/%zz%+f", "%zz%+f"),
        ] {
            assert_eq!(
                find("GET", path).unwrap(),
                Route::Model(id.to_owned()),
                "{path}"
            );
        }
    }

    #[test]
    fn refuses_other_paths_and_methods() {
        for path in [
            "/v1/responses",
            "/v2/models",
            "/v1chat/completions",
            "/metrics",
        ] {
            assert!(
                matches!(find("POST", path), Err(Failure::NoSuchPath(_))),
                "{path}"
            );
        }
        let Err(Failure::MethodNotAllowed { allow }) = find("GET", "/v1/chat/completions") else {
            panic!("not refused")
        };
        assert_eq!(allow, "POST, OPTIONS");
        assert!(matches!(
            find("DELETE", "/v1/models"),
            Err(Failure::MethodNotAllowed { .. })
        ));
    }
}
