//! The models that upstreams list, asked for at most every few seconds however often clients ask.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use moka::future::Cache;
use tracing::{info, warn};

use super::{Upstream, UpstreamError, UpstreamFault, Upstreams, relay::Request};
use crate::wire::openai::{Model, decode_models};

/// How long a list is used before the upstream is asked again.
const LIFE: Duration = Duration::from_secs(10);
/// How long an upstream may take to list its models.
const PATIENCE: Duration = Duration::from_secs(2);
/// Largest list that is read, in bytes.
const LARGEST: usize = 4 << 20;

/// What each upstream listed last.
#[derive(Debug)]
pub(in crate::gateway) struct Listings {
    fresh: Cache<usize, Arc<[Model]>>,
    last: Vec<Last>,
}

#[derive(Debug, Default)]
struct Last {
    entries: Mutex<Arc<[Model]>>,
    failing: AtomicBool,
}

impl Listings {
    pub(in crate::gateway) fn new(upstreams: &Upstreams) -> Self {
        Self {
            fresh: Cache::builder().time_to_live(LIFE).build(),
            last: upstreams
                .upstreams
                .iter()
                .map(|_| Last::default())
                .collect(),
        }
    }

    /// The models of every upstream, in the order of the configuration.
    pub(in crate::gateway) async fn all(&self, upstreams: &Upstreams) -> Vec<Arc<[Model]>> {
        let each = upstreams.upstreams.iter().zip(&self.last).enumerate();
        futures::future::join_all(each.map(|(index, (upstream, last))| async move {
            if upstream.is_open() {
                self.fresh
                    .get_with(index, last.renew(upstreams, upstream))
                    .await
            } else {
                aliases(upstream)
            }
        }))
        .await
    }
}

impl Last {
    /// Asks the upstream; where it does not answer, what it said last stands.
    async fn renew(&self, upstreams: &Upstreams, upstream: &Upstream) -> Arc<[Model]> {
        let fetched = tokio::time::timeout(PATIENCE, fetch(upstreams, upstream)).await;
        let fetched = fetched.unwrap_or_else(|_| {
            Err(upstream.error(
                UpstreamFault::Timeout,
                format!("no list of models within {} s", PATIENCE.as_secs()),
            ))
        });
        let mut last = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match fetched {
            Ok(entries) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    info!(
                        upstream = upstream.name(),
                        models = entries.len(),
                        "the upstream lists its models again"
                    );
                }
                *last = entries.into();
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    warn!(%error, "cannot list the models of an upstream");
                }
            }
        }
        Arc::clone(&last)
    }
}

fn aliases(upstream: &Upstream) -> Arc<[Model]> {
    upstream
        .aliases()
        .iter()
        .map(|model| Model::new(model.alias.as_str(), 0, upstream.name()))
        .collect()
}

async fn fetch(upstreams: &Upstreams, upstream: &Upstream) -> Result<Vec<Model>, UpstreamError> {
    let request = Request {
        method: "GET",
        path: "/models",
        fields: Bytes::new(),
        body: None,
    };
    let mut answer = upstreams.call(upstream, &request).await?;
    let status = answer.header().status;
    let mut body = Vec::new();
    while let Some(piece) = answer.read().await? {
        if body.len() + piece.len() > LARGEST {
            return Err(upstream.error(UpstreamFault::Garbage, "its list of models is too long"));
        }
        body.extend_from_slice(piece);
    }
    answer.release().await;
    if !status.is_success() {
        return Err(upstream.error(
            UpstreamFault::Garbage,
            format!("GET /models was answered with status {status}"),
        ));
    }
    let mut models = decode_models(&body)
        .map_err(|error| upstream.error(UpstreamFault::Garbage, error.to_string()))?;
    for model in models.iter_mut().filter(|model| model.owned_by.is_empty()) {
        upstream.name().clone_into(&mut model.owned_by);
    }
    Ok(models)
}
