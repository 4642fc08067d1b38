//! The engine's state as metrics.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::engine::{Engine, Miss};

/// An engine that is looked at once per scrape.
#[derive(Debug)]
pub(super) struct Watched(pub(super) Engine);

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let status = self.0.status();
        let queued = i64::try_from(status.queued).unwrap_or(i64::MAX);
        write(
            &mut encoder,
            "rkgate_queue_length",
            "Jobs waiting for the NPU: requests, and each input of one for embeddings",
            &ConstGauge::new(queued),
        )?;
        let budget = i64::try_from(status.memory_budget).unwrap_or(i64::MAX);
        let help = "Memory that the loaded models may use together";
        write(
            &mut encoder,
            "rkgate_engine_memory_budget_bytes",
            help,
            &ConstGauge::new(budget),
        )?;
        let counters = status.counters;
        for (name, help, count) in [
            ("rkgate_engine_loads", "Models loaded", counters.loads),
            (
                "rkgate_engine_unloads",
                "Models unloaded to make room, for idleness or by hand",
                counters.unloads,
            ),
            (
                "rkgate_engine_load_failures",
                "Models that could not be loaded",
                counters.load_failures,
            ),
            (
                "rkgate_worker_failures",
                "Engine workers that crashed or had to be ended, in a job or not",
                counters.workers_lost,
            ),
            (
                "rkgate_jobs_completed",
                "Jobs that the engine ran to their end: requests, and each input of one for embeddings",
                counters.completed,
            ),
            (
                "rkgate_jobs_cancelled",
                "Jobs that the engine stopped at as their client went away or had what it wanted",
                counters.cancelled,
            ),
            (
                "rkgate_jobs_failed",
                "Jobs that failed in the engine",
                counters.failed,
            ),
            (
                "rkgate_jobs_preempted",
                "Runs that were stopped for a more urgent request, to go on later",
                counters.preempted,
            ),
            (
                "rkgate_jobs_withdrawn",
                "Jobs that the engine gave up: late, in a person's way, or replaced by a newer one",
                counters.withdrawn,
            ),
            (
                "rkgate_prompt_cache_saves",
                "Prompt cache files saved",
                counters.prefixes_saved,
            ),
            (
                "rkgate_prompt_cache_loads",
                "Prompts for which a prompt cache file was loaded",
                counters.prefixes_loaded,
            ),
            (
                "rkgate_prompt_cache_tokens",
                "Reused tokens of prompts that came from a prompt cache file and not from the KV cache",
                counters.loaded_tokens,
            ),
            (
                "rkgate_kv_mispredicted",
                "Runs that found something else in the KV cache than expected",
                counters.mispredicted,
            ),
        ] {
            write(&mut encoder, name, help, &ConstCounter::new(count))?;
        }
        let misses = || Miss::ALL.into_iter().zip(counters.misses);
        let prompts = misses().map(|(why, count)| (why, count.prompts));
        write_misses(
            &mut encoder,
            "rkgate_prefix_misses",
            "Prompts that were not found in the KV cache as far as they might have been",
            prompts,
        )?;
        let tokens = misses().map(|(why, count)| (why, count.tokens));
        write_misses(
            &mut encoder,
            "rkgate_prefix_lost_tokens",
            "Tokens of a conversation's last prompt that had to be read again",
            tokens,
        )?;
        let mut loaded = BTreeMap::<_, u64>::new();
        for worker in &status.workers {
            if let Some(resident) = &worker.resident {
                *loaded.entry(worker.model.as_str()).or_default() += resident.memory;
            }
        }
        if loaded.is_empty() {
            return Ok(());
        }
        let help = "Memory of each loaded model, all its instances together";
        let mut metric = encoder.encode_descriptor(
            "rkgate_engine_model_memory_bytes",
            help,
            None,
            MetricType::Gauge,
        )?;
        for (model, memory) in loaded {
            let memory = ConstGauge::new(i64::try_from(memory).unwrap_or(i64::MAX));
            memory.encode(metric.encode_family(&[("model", model)])?)?;
        }
        Ok(())
    }
}

pub(super) fn write(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn write_misses(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    counts: impl Iterator<Item = (Miss, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (why, count) in counts {
        let reason = [("reason", why.as_str())];
        ConstCounter::new(count).encode(metric.encode_family(&reason)?)?;
    }
    Ok(())
}
