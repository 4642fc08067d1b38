//! The prompt log's state as metrics.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::engine::write;
use crate::promptlog::{FailureKind, Health, PromptLog};

/// A prompt log that is looked at once per scrape.
#[derive(Debug)]
pub(super) struct Logged(pub(super) Arc<PromptLog>);

impl Collector for Logged {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let status = self.0.status();
        for (name, help, count) in [
            (
                "rkgate_prompt_log_records",
                "Records written to the prompt log",
                status.written,
            ),
            (
                "rkgate_prompt_log_content_dropped",
                "Records whose content was left out, because the writer could not keep up",
                status.content_dropped,
            ),
            (
                "rkgate_prompt_log_records_lost",
                "Records that were not written",
                status.lost,
            ),
        ] {
            write(&mut encoder, name, help, &ConstCounter::new(count))?;
        }
        for (name, help, amount) in [
            (
                "rkgate_prompt_log_queue_length",
                "Records that wait to be written to the prompt log",
                status.waiting,
            ),
            (
                "rkgate_prompt_log_queue_bytes",
                "Content that waits to be written to the prompt log",
                status.waiting_bytes,
            ),
            (
                "rkgate_prompt_log_size_bytes",
                "Size of the prompt log's database",
                status.size,
            ),
        ] {
            let amount = i64::try_from(amount).unwrap_or(i64::MAX);
            write(&mut encoder, name, help, &ConstGauge::new(amount))?;
        }
        let mut stopped = encoder.encode_descriptor(
            "rkgate_prompt_log_stopped",
            "Whether the prompt log cannot be written (1), and why",
            None,
            MetricType::Gauge,
        )?;
        for kind in FailureKind::ALL {
            let is = matches!(status.health, Health::Stopped { failure, .. } if failure == kind);
            let gauge = ConstGauge::new(i64::from(is));
            gauge.encode(stopped.encode_family(&[("reason", kind.as_str())])?)?;
        }
        Ok(())
    }
}
