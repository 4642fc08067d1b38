//! Signing in to the console: a key is exchanged for a cookie, so that the page never keeps the key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Admin, access};

const COOKIE: &str = "rkgate_session";
/// A session that nobody used for so long is over.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// The session that was idle longest makes room for one more than these.
const MOST: usize = 64;

/// The sessions that are open. They end with the process.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<String, Instant>>);

impl Sessions {
    /// Opens one and returns its secret.
    fn open(&self) -> String {
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, used| used.elapsed() < IDLE);
        if sessions.len() >= MOST
            && let Some(oldest) = sessions.iter().min_by_key(|(_, used)| **used)
        {
            let oldest = oldest.0.clone();
            sessions.remove(&oldest);
        }
        sessions.insert(secret.clone(), Instant::now());
        secret
    }

    /// Whether this is the secret of an open session, which is now in use.
    pub(super) fn use_one(&self, secret: &str) -> bool {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match sessions.get_mut(secret) {
            Some(used) if used.elapsed() < IDLE => {
                *used = Instant::now();
                true
            }
            _ => false,
        }
    }

    fn close(&self, secret: &str) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(secret);
    }
}

/// The session's secret that a request carries.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// `GET /api/session`: whether a key is needed, and whether one was given.
pub(super) async fn show(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Json<Value> {
    Json(json!({
        "key_needed": !admin.config.keys.is_empty(),
        "signed_in": access::is_known(&admin, &headers),
    }))
}

#[derive(Debug, Deserialize)]
pub(super) struct SignIn {
    key: String,
}

/// `POST /api/session`: a cookie for a key.
pub(super) async fn sign_in(
    State(admin): State<Arc<Admin>>,
    Json(SignIn { key }): Json<SignIn>,
) -> Response {
    let Some(name) = admin.config.keys.admin(key.trim()) else {
        let error = json!({ "error": { "message": "this is no key of an administrator" } });
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    };
    tracing::info!(key = name, "signed in to the console");
    let secret = admin.sessions.open();
    // Strict: it does not come along from another site's page, not even with a link.
    let cookie = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict");
    (
        StatusCode::NO_CONTENT,
        AppendHeaders([(header::SET_COOKIE, cookie)]),
    )
        .into_response()
}

/// `DELETE /api/session`: ends it.
pub(super) async fn sign_out(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    if let Some(token) = token(&headers) {
        admin.sessions.close(token);
    }
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    (
        StatusCode::NO_CONTENT,
        AppendHeaders([(header::SET_COOKIE, cookie)]),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_session_lasts_until_it_is_closed() {
        let sessions = Sessions::default();
        let (one, other) = (sessions.open(), sessions.open());
        assert_ne!(one, other);
        assert!(sessions.use_one(&one) && sessions.use_one(&other));
        sessions.close(&one);
        assert!(!sessions.use_one(&one) && sessions.use_one(&other));
        assert!(!sessions.use_one("") && !sessions.use_one("guess"));
    }

    #[test]
    fn the_session_that_was_idle_longest_makes_room() {
        let sessions = Sessions::default();
        let first = sessions.open();
        let second = sessions.open();
        for _ in 2..MOST {
            sessions.open();
        }
        assert!(sessions.use_one(&first));
        sessions.open();
        assert!(sessions.use_one(&first) && !sessions.use_one(&second));
    }

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, value.parse().unwrap());
            token(&headers).map(str::to_owned)
        };
        assert_eq!(
            with("a=1; rkgate_session=secret; b=2").as_deref(),
            Some("secret")
        );
        assert_eq!(with("not_rkgate_session=secret"), None);
    }
}
