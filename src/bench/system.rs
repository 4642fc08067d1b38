//! A gateway with an engine and a simulated board of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    BenchError, Play, Request, Script, Setup, Turn,
    baseline::{self, InOrder},
    client::{self, Call},
    open_webui::OpenWebUi,
    play::Clock,
    player::Player,
};
use crate::{
    engine::{
        Engine, EngineSettings, TurnReport,
        settings::{Library, Profiles, PromptCacheSettings},
    },
    gateway::{BoundAddress, Gateway, Listener, LocalEngine, Upstreams},
    policy::live::Live,
    telemetry::{Metrics, board::Board},
};

/// Time between two requests for the list of models, on the wall's clock.
const LIST_INTERVAL: Duration = Duration::from_millis(250);
/// Longest time that one of them may take, far beyond any goal.
const LIST_PATIENCE: Duration = Duration::from_secs(5);

/// What all plays of a script share.
pub(super) struct Ground {
    pub(super) setup: Setup,
    pub(super) script: Arc<Script>,
    pub(super) recorded: Arc<OpenWebUi>,
    pub(super) told: Arc<Told>,
}

/// Hears of each request that has ended, with the gateway's name.
type Told = dyn Fn(&str, &Request) + Send + Sync;

/// How a gateway decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// As it is configured.
    Configured,
    /// Not at all.
    Naive,
}

/// A running gateway.
pub(super) struct System {
    name: String,
    engine: Engine,
    address: SocketAddr,
    turns: mpsc::UnboundedReceiver<TurnReport>,
    stop: CancellationToken,
    served: JoinHandle<()>,
    /// Holds the lock that stands for the NPU.
    _board: TempDir,
}

impl System {
    /// Starts a gateway and has it load the models.
    pub(super) async fn start(
        ground: &Ground,
        name: &str,
        rules: Rules,
    ) -> Result<Self, BenchError> {
        let setup = &ground.setup;
        let board = tempfile::tempdir().map_err(BenchError::Gateway)?;
        let (report, turns) = mpsc::unbounded_channel();
        let mut env = setup.engine.worker_env.clone();
        for (name, value) in [
            ("RKLLM_SIM_SPEED", setup.speed.to_string()),
            (
                "RKLLM_SIM_NPU",
                board.path().join("npu").display().to_string(),
            ),
            ("RKLLM_SIM_LOG", "none".to_owned()),
            (
                "RKLLM_SIM_FAULT",
                match rules {
                    Rules::Configured => String::new(),
                    Rules::Naive => "no_reuse".to_owned(),
                },
            ),
        ] {
            env.push((name.to_owned(), value));
        }
        let origin = match rules {
            Rules::Configured => setup.policy.clone(),
            Rules::Naive => baseline::policy(board.path(), setup.policy.platform)
                .map_err(BenchError::Gateway)?,
        };
        let policy = Live::start(origin).map_err(|source| BenchError::Policy {
            system: name.to_owned(),
            source,
        })?;
        let policy = Arc::new(policy);
        let engine = Engine::start(
            EngineSettings {
                library: Library::Sim,
                profiles: Some(Profiles::in_force(Arc::clone(&policy))),
                worker_env: env,
                turns: Some(report),
                // Files of simulated models have no place among real ones.
                prompt_cache: match rules {
                    Rules::Configured => {
                        setup
                            .engine
                            .prompt_cache
                            .clone()
                            .map(|cache| PromptCacheSettings {
                                dir: board.path().join("prompt-cache"),
                                ..cache
                            })
                    }
                    Rules::Naive => None,
                },
                ..setup.engine.clone()
            },
            Handle::current(),
        )?;
        let local: Arc<dyn LocalEngine> = match rules {
            Rules::Configured => Arc::new(engine.clone()),
            Rules::Naive => Arc::new(InOrder::new(engine.clone())),
        };
        let listener = Listener::tcp((Ipv4Addr::LOCALHOST, 0).into()).await;
        let listener = listener.map_err(BenchError::Gateway)?;
        let address = match listener.address() {
            BoundAddress::Tcp(address) => *address,
            BoundAddress::Unix(_) => {
                return Err(BenchError::Gateway(std::io::ErrorKind::Unsupported.into()));
            }
        };
        let upstreams = Upstreams::new(Vec::new())
            .map_err(|error| BenchError::Gateway(std::io::Error::other(error)))?;
        let gateway = Gateway::new(
            setup.gateway.clone(),
            local,
            upstreams,
            policy,
            Arc::new(Metrics::new(Board::default())),
        );
        let stop = CancellationToken::new();
        let served = tokio::spawn(gateway.serve(listener, stop.clone()));
        let system = Self {
            name: name.to_owned(),
            engine,
            address,
            turns,
            stop,
            served,
            _board: board,
        };
        match system.warm_up(ground).await {
            Ok(()) => Ok(system),
            Err(reason) => {
                system.stop().await;
                Err(BenchError::WarmUp {
                    system: name.to_owned(),
                    model: ground.script.model.clone(),
                    reason,
                })
            }
        }
    }

    /// One request of each kind, so that no question waits for a model to load.
    async fn warm_up(&self, ground: &Ground) -> Result<(), String> {
        let (script, recorded) = (&ground.script, &ground.recorded);
        let mut bodies = vec![
            (
                "/v1/chat/completions",
                recorded.title(&script.model, "Hello"),
            ),
            (
                "/v1/chat/completions",
                serde_json::json!({
                    "model": script.model,
                    "messages": [{ "role": "user", "content": "Hello" }],
                    "max_tokens": 1,
                }),
            ),
        ];
        if let Some(model) = &script.embedding_model {
            bodies.push(("/v1/embeddings", recorded.embedding(model, "Hello")));
        }
        for (path, body) in &bodies {
            let call = Call {
                path,
                id: "warm-up",
                // Else the first chat would pass for one that goes on.
                from: Some(("warm-up", "warm-up")),
                body,
            };
            client::post(self.address, call).await?;
        }
        Ok(())
    }

    /// Plays these people's parts of the script.
    pub(super) async fn play(mut self, ground: &Ground, people: Vec<usize>) -> (Self, Play) {
        // What warmed it up is no part of the play.
        while self.turns.try_recv().is_ok() {}
        let (ended, mut requests) = mpsc::unbounded_channel();
        let player = Arc::new(Player {
            address: self.address,
            script: Arc::clone(&ground.script),
            recorded: Arc::clone(&ground.recorded),
            clock: Clock::start(ground.setup.speed),
            ended,
        });
        let clock = player.clock;
        // Ends before the gateway does, which answers none of them then.
        let over = self.stop.child_token();
        let lists = tokio::spawn(list_models(self.address, over.clone()));
        let mut parts = JoinSet::new();
        for person in people {
            parts.spawn(Arc::clone(&player).part(person));
        }
        drop(player);
        let mut play = Play {
            name: self.name.clone(),
            requests: Vec::new(),
            turns: Vec::new(),
            model_lists: Vec::new(),
        };
        // Ends with the last part.
        while let Some(request) = requests.recv().await {
            (ground.told)(&self.name, &request);
            play.requests.push(request);
        }
        over.cancel();
        play.model_lists = lists.await.unwrap_or_default();
        play.requests.sort_by_key(|request| request.sent);
        while let Ok(turn) = self.turns.try_recv() {
            play.turns.push(Turn::of(turn, &clock));
        }
        (self, play)
    }

    /// Ends the gateway and its workers.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        // Nothing is answered any more.
        let _ = self.served.await;
        self.engine.shutdown(Duration::ZERO).await;
    }
}

/// Asks for the list of models again and again; how long each took, or nothing where it failed.
async fn list_models(address: SocketAddr, stop: CancellationToken) -> Vec<Option<Duration>> {
    let mut times = Vec::new();
    let mut ticks = tokio::time::interval(LIST_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let begun = Instant::now();
        let list = tokio::time::timeout(LIST_PATIENCE, client::list_models(address)).await;
        times.push(matches!(list, Ok(Ok(()))).then(|| begun.elapsed()));
    }
    times
}
