//! Servers that requests are relayed to.

mod courier;
mod edit;
mod endpoint;
mod head;
mod listing;
mod relay;

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use url::Url;

use crate::wire::openai::ThinkSwitch;
pub(super) use edit::Edits;
use endpoint::Endpoint;
pub(super) use listing::Listings;

/// Idle connections kept per gateway.
const POOL_SIZE: usize = 128;

/// One OpenAI-compatible server, or several that are the same.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// Its name in messages and metrics.
    pub name: String,
    /// Base addresses, `/v1` included; the next one is tried where one refuses.
    pub urls: Vec<Url>,
    /// Replaces the client's `Authorization` as `Bearer`.
    pub api_key: Option<String>,
    /// The models that are offered from it; empty: all that it lists.
    pub models: Vec<ModelAlias>,
    /// How it is told whether a model is to think.
    pub thinking: ThinkSwitch,
    /// Time for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Time from the request to the answer's header; none, because a long prompt may take minutes to read.
    pub first_byte_timeout: Option<Duration>,
    /// Longest pause within an answer.
    pub read_timeout: Duration,
}

impl UpstreamSettings {
    /// An upstream at `urls` with the documented defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, urls: Vec<Url>) -> Self {
        Self {
            name: name.into(),
            urls,
            api_key: None,
            models: Vec::new(),
            thinking: ThinkSwitch::None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: None,
            read_timeout: Duration::from_secs(600),
        }
    }
}

/// A model of an upstream under a name of the operator's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelAlias {
    /// The name that clients use.
    pub alias: String,
    /// The name that the upstream knows.
    pub model: String,
}

/// A call to an upstream that failed.
#[derive(Debug, thiserror::Error)]
#[error("the upstream `{upstream}` {}: {reason}", kind.words())]
pub struct UpstreamError {
    /// The upstream's name.
    pub upstream: String,
    /// What it did.
    pub kind: UpstreamFault,
    /// Where and how.
    pub reason: String,
}

/// What an upstream did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamFault {
    /// No connection.
    Unreachable,
    /// A connection, but nothing came in time.
    Timeout,
    /// It closed the connection before its answer was complete.
    Closed,
    /// What it sent is not HTTP.
    Garbage,
}

impl UpstreamFault {
    fn words(self) -> &'static str {
        match self {
            Self::Unreachable => "cannot be reached",
            Self::Timeout => "did not answer in time",
            Self::Closed => "closed the connection before its answer was complete",
            Self::Garbage => "sent what is not a valid HTTP answer",
        }
    }
}

/// All upstreams and the connections to them.
pub struct Upstreams {
    upstreams: Vec<Upstream>,
    connector: TransportConnector,
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(
                self.upstreams
                    .iter()
                    .map(|upstream| &upstream.settings.name),
            )
            .finish()
    }
}

/// One upstream at work.
pub(super) struct Upstream {
    settings: UpstreamSettings,
    endpoints: Vec<Endpoint>,
    /// The endpoint that answered last.
    preferred: AtomicUsize,
}

impl Upstream {
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether it offers whatever it lists.
    pub(super) fn is_open(&self) -> bool {
        self.settings.models.is_empty()
    }

    pub(super) fn aliases(&self) -> &[ModelAlias] {
        &self.settings.models
    }

    /// How it is told whether a model is to think.
    pub(super) fn think_switch(&self) -> ThinkSwitch {
        self.settings.thinking
    }

    /// The endpoints, beginning with the one that answered last.
    fn endpoints(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let count = self.endpoints.len();
        (0..count).filter_map(move |step| {
            let index = (first + step) % count;
            self.endpoints.get(index).map(|endpoint| (index, endpoint))
        })
    }

    fn error(&self, kind: UpstreamFault, reason: impl Into<String>) -> UpstreamError {
        UpstreamError {
            upstream: self.settings.name.clone(),
            kind,
            reason: reason.into(),
        }
    }
}

/// An upstream whose settings cannot work.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// An address that cannot be called.
    #[error("the upstream `{upstream}` has an address that cannot be called, {url}: {reason}")]
    Address {
        /// The upstream's name.
        upstream: String,
        /// The address.
        url: String,
        /// Why.
        reason: &'static str,
    },
    /// The system's certificates cannot be used.
    #[error("the system's CA certificates, needed for https upstreams, cannot be loaded")]
    Certificates,
}

impl Upstreams {
    /// Makes the upstreams ready; connects to none of them.
    ///
    /// # Errors
    /// An address that cannot be called; for https, CA certificates that cannot be loaded.
    pub fn new(settings: Vec<UpstreamSettings>) -> Result<Self, UpstreamSetupError> {
        let mut upstreams = Vec::with_capacity(settings.len());
        let mut tls = false;
        for settings in settings {
            let endpoints = settings
                .urls
                .iter()
                .map(|url| {
                    Endpoint::new(url, settings.connect_timeout).map_err(|reason| {
                        UpstreamSetupError::Address {
                            upstream: settings.name.clone(),
                            url: url.to_string(),
                            reason,
                        }
                    })
                })
                .collect::<Result<Vec<_>, _>>()?;
            tls |= settings.urls.iter().any(|url| url.scheme() == "https");
            upstreams.push(Upstream {
                settings,
                endpoints,
                preferred: AtomicUsize::new(0),
            });
        }
        Ok(Self {
            upstreams,
            connector: connector(tls)?,
        })
    }

    /// The names that the configuration gives to upstreams and to models of theirs.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.upstreams.iter().flat_map(|upstream| {
            let aliases = upstream.aliases().iter().map(|alias| alias.model.as_str());
            std::iter::once(upstream.name()).chain(aliases)
        })
    }

    /// The upstreams in the order of the configuration.
    pub(super) fn all(&self) -> &[Upstream] {
        &self.upstreams
    }
}

fn connector(tls: bool) -> Result<TransportConnector, UpstreamSetupError> {
    let mut options = ConnectorOptions::new(POOL_SIZE);
    if !tls {
        // The connector reads all of the system's certificates, about a megabyte of memory, unless told to
        // take them from a file; without https an empty one will do.
        options.ca_file = Some("/dev/null".to_owned());
    }
    // pingora panics on certificates that it cannot read.
    std::panic::catch_unwind(AssertUnwindSafe(|| TransportConnector::new(Some(options))))
        .map_err(|_| UpstreamSetupError::Certificates)
}
