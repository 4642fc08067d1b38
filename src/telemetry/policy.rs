//! The set in force as metrics.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector, encoding::DescriptorEncoder, metrics::gauge::ConstGauge,
};

use super::engine::write;
use crate::policy::live::Live;

/// Rules and policies that are looked at once per scrape: no request is answered by a set that a later scrape does not know.
#[derive(Debug)]
pub(super) struct InForce(pub(super) Arc<Live>);

impl Collector for InForce {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let generation = i64::try_from(self.0.set().generation()).unwrap_or(i64::MAX);
        write(
            &mut encoder,
            "rkgate_policy_generation",
            "Number of the set of rules and policies in force",
            &ConstGauge::new(generation),
        )?;
        let current = self.0.last_attempt().error.is_none();
        write(
            &mut encoder,
            "rkgate_policy_reload_ok",
            "Whether the files' present state is in force (1), or broken and an older one is kept (0)",
            &ConstGauge::new(i64::from(current)),
        )
    }
}
