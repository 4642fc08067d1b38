//! From the configuration to what each room can be told.

use crate::{
    config::{self, Abi, Config, Library},
    engine::{
        EngineSettings,
        settings::{self as engine, AbiOverride, PromptCacheSettings},
    },
    gateway::{GatewaySettings, Keys, ModelAlias, UpstreamSettings},
    policy::{Platform, live::Origin},
    promptlog,
    telemetry::traces::TraceSettings,
    wire::openai::ThinkSwitch,
};

pub(in crate::cli) fn engine(config: &config::Engine) -> EngineSettings {
    EngineSettings {
        library: match &config.library {
            Library::Auto => engine::Library::Auto,
            Library::Sim => engine::Library::Sim,
            Library::None => engine::Library::None,
            Library::Path(path) => engine::Library::Path(path.clone()),
        },
        abi: config.abi.map(|abi| match abi {
            Abi::V1_2_0 => AbiOverride::V1_2_0,
            Abi::V1_2_1 => AbiOverride::V1_2_1,
            Abi::V1_3_0 => AbiOverride::V1_3_0,
        }),
        models_dir: config.models_dir.clone(),
        memory_budget: config.memory_budget.into(),
        queue_limit: config.queue_limit,
        idle_unload: config.idle_unload,
        preload: config.preload.clone(),
        prompt_cache: config
            .prompt_cache
            .as_ref()
            .map(|cache| PromptCacheSettings {
                dir: cache.dir.clone(),
                max_size: cache.max_size,
            }),
        stall_timeout: config.stall_timeout,
        ..EngineSettings::default()
    }
}

/// Where the rules and policies come from; `chip` is the board's, where there is one.
pub(in crate::cli) fn policy(policy: &config::Policy, chip: Option<&str>) -> Origin {
    Origin {
        rules: policy.rules.clone(),
        policies: policy.policies.clone(),
        platform: Platform::of_chip(chip),
    }
}

pub(in crate::cli) fn gateway(config: &Config) -> GatewaySettings {
    let limits = &config.limits;
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    GatewaySettings {
        body_limit: bytes(limits.body),
        header_limit: bytes(limits.header),
        header_timeout: limits.header_timeout,
        body_timeout: limits.body_timeout,
        write_timeout: limits.write_timeout,
        keep_alive: limits.keep_alive,
        first_heartbeat: limits.first_heartbeat,
        heartbeat: limits.heartbeat,
        drain_deadline: limits.drain,
        max_connections: limits.connections,
        max_requests: limits.concurrent_requests,
        cors: config.listen.cors.clone(),
        log: None,
        traces: None,
        keys: (!config.keys.is_empty()).then(|| Keys::new(config.keys.digests())),
    }
}

pub(in crate::cli) fn prompt_log(log: &config::PromptLog) -> promptlog::Settings {
    promptlog::Settings {
        place: log.place.clone(),
        instance: log.instance.clone(),
        content: log.content,
        opt_out: log.allow_opt_out,
        flush: log.flush,
        limits: promptlog::Limits {
            retention: log.retention,
            max_size: log.max_size,
        },
    }
}

pub(in crate::cli) fn traces(traces: &config::Traces) -> TraceSettings {
    TraceSettings {
        endpoint: traces.endpoint.clone(),
        headers: traces.headers.clone(),
        sample_ratio: traces.sample_ratio,
    }
}

pub(in crate::cli) fn upstreams(upstreams: &[config::Upstream]) -> Vec<UpstreamSettings> {
    let settings = |upstream: &config::Upstream| UpstreamSettings {
        name: upstream.name.clone(),
        urls: upstream.urls.clone(),
        api_key: upstream.api_key.as_ref().map(|key| key.0.clone()),
        models: upstream
            .models
            .iter()
            .map(|alias| ModelAlias {
                alias: alias.name.clone(),
                model: alias.model.clone(),
            })
            .collect(),
        thinking: match upstream.thinking {
            config::ThinkSwitch::ChatTemplateKwargs => ThinkSwitch::ChatTemplateKwargs,
            config::ThinkSwitch::Think => ThinkSwitch::Think,
            config::ThinkSwitch::Suffix => ThinkSwitch::NoThink,
            config::ThinkSwitch::None => ThinkSwitch::None,
        },
        connect_timeout: upstream.connect_timeout,
        first_byte_timeout: Some(upstream.first_byte_timeout),
        read_timeout: upstream.idle_timeout,
    };
    upstreams.iter().map(settings).collect()
}
