//! What a conversation costs the NPU, and what a person waits for: recorded conversations of Open WebUI, played against
//! this gateway and against a naive one at the same time, each on a simulated board of its own.
//!
//! A [`Script`] says what people ask. `player` sends what Open WebUI sends for that, in its order and at its times, and
//! what was really answered goes into the next turn. Each [`Play`] holds every request and every turn at the NPU;
//! [`account`] makes figures of them and [`goals`] compares these with references of the same run.
//!
//! All times are those of the board: at speed 4 a second of the clock counts as four. Only what the simulator does is
//! scaled truly; the gateway's own work and its own time limits are not, so that figures count at speed 1 alone.

pub mod account;
mod baseline;
mod client;
pub mod goals;
mod open_webui;
pub mod page;
mod play;
mod player;
mod script;
mod system;
pub mod table;

use std::{sync::Arc, time::Duration};

use crate::{
    engine::{EngineSettings, StartError},
    gateway::GatewaySettings,
    policy::{self, live::LoadError},
};
pub use open_webui::Kind;
use open_webui::OpenWebUi;
pub use play::{Play, Request, Turn};
pub use script::{Goal, Person, Question, SHIPPED, Script, ScriptError};
use system::{Ground, Rules, System};

/// What is played against.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The engine as it is configured; its library is the simulator's.
    pub engine: EngineSettings,
    /// The gateway as it is configured, without keys.
    pub gateway: GatewaySettings,
    /// The rules and policies in force.
    pub policy: policy::live::Origin,
    /// The chat's model instead of the script's.
    pub model: Option<String>,
    /// How many times faster than a board; above 0.
    pub speed: f64,
}

/// All plays of one script.
#[derive(Debug)]
pub struct Outcome {
    /// The chat's model.
    pub model: String,
    /// How many times faster than a board.
    pub speed: f64,
    /// The gateway as it is configured.
    pub ours: Play,
    /// First come, first served; no rules, no cache, one model.
    pub naive: Play,
    /// Where several people talk: each of them alone, in the script's order.
    pub alone: Vec<Play>,
}

/// Why nothing could be played.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The recorded requests inside the binary cannot be read.
    #[error("the recorded request {0} is not what this program expects")]
    Recording(&'static str),
    /// Rules and policies do not load.
    #[error("cannot load the policy of the {system} gateway")]
    Policy {
        /// Which of them.
        system: String,
        /// Why.
        source: LoadError,
    },
    /// The engine does not start.
    #[error("cannot start the engine")]
    Engine(#[from] StartError),
    /// A gateway cannot be set up.
    #[error("cannot set up the gateway")]
    Gateway(#[source] std::io::Error),
    /// The first request, which loads the models, failed.
    #[error("the {system} gateway cannot answer with {model}: {reason}")]
    WarmUp {
        /// Which of them.
        system: String,
        /// The model asked for.
        model: String,
        /// What it said.
        reason: String,
    },
}

/// Plays a script against all gateways at once. `told` hears of each request that has ended.
///
/// # Errors
/// [`BenchError`]: what goes wrong before the first question. Requests that fail are part of the outcome.
pub async fn conversation(
    script: Script,
    setup: Setup,
    told: impl Fn(&str, &Request) + Send + Sync + 'static,
) -> Result<Outcome, BenchError> {
    let model = setup.model.clone().unwrap_or_else(|| script.model.clone());
    let script = Arc::new(Script {
        model: model.clone(),
        ..script
    });
    let ground = Ground {
        setup: setup.clone(),
        script: Arc::clone(&script),
        recorded: Arc::new(OpenWebUi::new()?),
        told: Arc::new(told),
    };
    let everybody: Vec<usize> = (0..script.people.len()).collect();
    let ours = played(&ground, "rkgate", Rules::Configured, everybody.clone());
    let naive = played(&ground, "naive", Rules::Naive, everybody.clone());
    let alone = everybody.iter().filter(|_| everybody.len() > 1);
    let alone = alone.map(|person| {
        let name = script.people.get(*person).map_or("", |person| &person.name);
        let name = format!("{name} alone");
        let ground = &ground;
        async move { played(ground, &name, Rules::Configured, vec![*person]).await }
    });
    let (ours, naive, alone) =
        futures::try_join!(ours, naive, futures::future::try_join_all(alone))?;
    Ok(Outcome {
        model,
        speed: setup.speed,
        ours,
        naive,
        alone,
    })
}

async fn played(
    ground: &Ground,
    name: &str,
    rules: Rules,
    people: Vec<usize>,
) -> Result<Play, BenchError> {
    let system = System::start(ground, name, rules).await?;
    let (system, play) = system.play(ground, people).await;
    system.stop().await;
    Ok(play)
}

/// The median of some times; zero of none.
fn median(times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
