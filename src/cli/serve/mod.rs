//! `rkgate serve`: puts the rooms together, says where it listens, and ends them in order.

pub(super) mod settings;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, UnixListener},
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Configuration, Failure, code};
use crate::{
    config::{Address, Config, Loaded},
    console::{self, Admin, Sessions},
    doctor,
    engine::{Engine, EngineSettings, settings::Profiles},
    gateway::{self, BoundAddress, Gateway, GatewaySettings, Listener, Upstreams},
    policy::live::{Live, LoadError},
    promptlog::PromptLog,
    telemetry::{Metrics, board::Board, logging, traces::Traces},
};

/// How long open calls of the admin port may go on once all answers are through.
const ADMIN_FAREWELL: Duration = Duration::from_secs(1);

pub(super) fn run(configuration: &Configuration) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let Loaded { config, file, .. } = configuration.load()?;
    let config = Arc::new(config);
    let mut metrics = Metrics::new(Board::default());
    let log = logging::start(&config.telemetry, metrics.log_lines_dropped())
        .map_err(|error| Failure::because(code::IO, "cannot start the log", &error))?;
    let source = file
        .as_deref()
        .map_or("defaults".into(), Path::to_string_lossy);
    info!(version = env!("CARGO_PKG_VERSION"), config = %source, "starting");
    let runtime = runtime::Builder::new_multi_thread()
        .thread_name("gateway")
        .enable_all()
        .build()
        .map_err(|error| Failure::because(code::SOFTWARE, "cannot start the threads", &error))?;
    let policy = Arc::new(start_policy(&config)?);
    let engine_settings = EngineSettings {
        profiles: Some(Profiles::in_force(Arc::clone(&policy))),
        ..settings::engine(&config.engine)
    };
    let engine = Engine::start(engine_settings, runtime.handle().clone())
        .map_err(|error| Failure::because(code::UNAVAILABLE, "cannot start the engine", &error))?;
    metrics.watch(engine.clone());
    metrics.watch_policy(Arc::clone(&policy));
    let prompt_log = PromptLog::start(settings::prompt_log(&config.log))
        .map_err(|error| Failure::because(code::SOFTWARE, "cannot start the prompt log", &error))?;
    let prompt_log = Arc::new(prompt_log);
    metrics.watch_log(Arc::clone(&prompt_log));
    let traces = config.telemetry.traces.as_ref();
    let traces = traces.map(|to| Arc::new(Traces::start(settings::traces(to), runtime.handle())));
    if let Some(traces) = &traces {
        metrics.watch_traces(Arc::clone(traces));
    }
    metrics.policy_loaded(&policy.last_attempt());
    let parts = Parts {
        config,
        file,
        engine,
        policy,
        prompt_log: Arc::clone(&prompt_log),
        traces: traces.clone(),
        metrics: Arc::new(metrics),
        started,
    };
    let ended = runtime.block_on(serve(parts));
    prompt_log.close();
    if let Some(traces) = traces {
        runtime.block_on(traces.close());
    }
    // What still runs after a second signal must not hold the process.
    runtime.shutdown_background();
    drop(log);
    ended
}

/// Loads the rules and policies. There is no older set to keep, so that nothing is served where they are broken.
fn start_policy(config: &Config) -> Result<Live, Failure> {
    let chip = Board::default().chip();
    let policy = Live::start(settings::policy(&config.policy, chip.as_deref())).map_err(
        |error| match error {
            LoadError::Wrong(report) => Failure::new(code::CONFIG, report.to_string()),
            LoadError::Unreadable(error) => {
                Failure::because(code::IO, "cannot load the policy", &error)
            }
        },
    )?;
    let loaded = policy.last_attempt();
    info!(
        generation = loaded.generation,
        tests = loaded.tests,
        "policy loaded"
    );
    if !loaded.warnings.problems.is_empty() {
        warn!("the policy's files:\n{}", loaded.warnings);
    }
    Ok(policy)
}

struct Parts {
    config: Arc<Config>,
    file: Option<PathBuf>,
    engine: Engine,
    policy: Arc<Live>,
    prompt_log: Arc<PromptLog>,
    traces: Option<Arc<Traces>>,
    metrics: Arc<Metrics>,
    started: Instant,
}

async fn serve(parts: Parts) -> Result<ExitCode, Failure> {
    let Parts {
        config,
        file,
        engine,
        policy,
        prompt_log,
        traces,
        metrics,
        started,
    } = parts;
    // Listening for signals comes first, so that none that arrives from here on kills us half-way.
    let mut signals = Signals::new()
        .map_err(|error| Failure::because(code::SOFTWARE, "cannot wait for signals", &error))?;
    let upstreams = Upstreams::new(settings::upstreams(&config.upstreams)).map_err(|error| {
        Failure::because(code::UNAVAILABLE, "cannot set up the upstreams", &error)
    })?;
    let api = bind(&config.listen.api).await?;
    let api_address = api.address().clone();
    let (stop, stop_admin) = (CancellationToken::new(), CancellationToken::new());
    let gateway = Gateway::new(
        GatewaySettings {
            log: Some(Arc::clone(&prompt_log)),
            traces,
            ..settings::gateway(&config)
        },
        Arc::new(engine.clone()),
        upstreams,
        policy.clone(),
        metrics.clone(),
    );
    let admin = Arc::new(Admin {
        metrics: metrics.clone(),
        activity: gateway.activity(),
        config: config.clone(),
        file,
        engine: engine.clone(),
        policy: policy.clone(),
        facts: gateway.facts(),
        prompt_log,
        api: api_address.clone(),
        board: Board::default(),
        sessions: Sessions::default(),
        started,
        stop: stop.clone(),
    });
    let (admin_address, admin) =
        serve_admin(admin, &config.listen.admin, stop_admin.clone()).await?;
    let following = policy.follow(config.policy.watch, move |attempt| {
        metrics.policy_loaded(attempt)
    });
    tokio::spawn(following);
    tokio::spawn(Arc::clone(&gateway).follow_listings());
    let mut answering = tokio::spawn(gateway.serve(api, stop.clone()));
    announce(&api_address, &admin_address)?;

    let signal = tokio::select! {
        signal = signals.next() => signal,
        ended = &mut answering => return Err(unexpected(ended.err())),
    };
    info!(
        signal = signal.name,
        "shutting down; once more ends it at once"
    );
    stop.cancel();
    let deadline = Instant::now() + config.limits.drain;
    let ended = tokio::select! {
        signal = signals.next() => {
            warn!(signal = signal.name, "ended at once");
            return Ok(ExitCode::from(128 + signal.number));
        }
        ended = async {
            let ended = answering.await;
            engine.shutdown(deadline.saturating_duration_since(Instant::now())).await;
            ended
        } => ended,
    };
    stop_admin.cancel();
    // Its last calls only read state; nothing is lost where they are cut.
    let _ = tokio::time::timeout(ADMIN_FAREWELL, admin).await;
    match ended {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(unexpected(Some(error))),
    }
}

fn unexpected(error: Option<tokio::task::JoinError>) -> Failure {
    let reason = error.map_or_else(
        || "it stopped by itself".to_owned(),
        |error| error.to_string(),
    );
    Failure::new(code::SOFTWARE, format!("the gateway has failed: {reason}"))
}

async fn bind(address: &Address) -> Result<Listener, Failure> {
    let listener = match address {
        Address::Tcp(address) => Listener::tcp(*address).await,
        Address::Unix(path) => Listener::unix(path),
    };
    listener.map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: &Address, error: &io::Error) -> Failure {
    Failure::because(
        code::UNAVAILABLE,
        &format!("cannot listen on {address}"),
        error,
    )
}

async fn serve_admin(
    admin: Arc<Admin>,
    address: &Address,
    stop: CancellationToken,
) -> Result<(BoundAddress, JoinHandle<()>), Failure> {
    let router = console::router(admin);
    let failed = |error: io::Error| cannot_listen(address, &error);
    let stopped = stop.cancelled_owned();
    match address {
        Address::Tcp(tcp) => {
            let listener = TcpListener::bind(tcp).await.map_err(failed)?;
            let bound = BoundAddress::Tcp(listener.local_addr().map_err(failed)?);
            let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
            Ok((bound, tokio::spawn(async { ended(serving.await) })))
        }
        Address::Unix(path) => {
            let listener: UnixListener = gateway::bind_unix(path).map_err(failed)?;
            let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
            let path = path.clone();
            let bound = BoundAddress::Unix(path.clone());
            let serving = async move {
                ended(serving.await);
                // Nobody answers there any more; a file that is gone already is as good.
                let _ = std::fs::remove_file(path);
            };
            Ok((bound, tokio::spawn(serving)))
        }
    }
}

fn ended(result: io::Result<()>) {
    if let Err(error) = result {
        warn!(%error, "the admin port has failed");
    }
}

/// What programs wait for and people read.
fn announce(api: &BoundAddress, admin: &BoundAddress) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "rkgate: api listening on {api}")?;
    writeln!(out, "rkgate: admin listening on {admin}")?;
    if let BoundAddress::Tcp(address) = api {
        let port = address.port();
        let url = doctor::webui_url(&api.into());
        writeln!(
            out,
            "Open WebUI: Admin Panel > Settings > Connections > OpenAI API > add {url}"
        )?;
        writeln!(
            out,
            "  (in Docker: http://host.docker.internal:{port}/v1, and listen.api on an address that it reaches)"
        )?;
    }
    out.flush()?;
    Ok(())
}

/// The signals that end rkgate.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// One that came.
#[derive(Debug, Clone, Copy)]
struct Arrived {
    name: &'static str,
    number: u8,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Arrived {
        tokio::select! {
            _ = self.interrupt.recv() => Arrived { name: "SIGINT", number: 2 },
            _ = self.terminate.recv() => Arrived { name: "SIGTERM", number: 15 },
        }
    }
}
