//! Traces in the metrics.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

use super::Traces;

/// What became of traces, as metrics.
#[derive(Debug)]
pub(in crate::telemetry) struct Traced(pub(in crate::telemetry) Arc<Traces>);

impl Collector for Traced {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let dropped = encoder.encode_descriptor(
            "rkgate_traces_dropped",
            "Traces that could not be sent",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(self.0.dropped()).encode(dropped)
    }
}
