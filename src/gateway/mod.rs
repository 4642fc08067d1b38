//! The service that clients talk to: connections, routes, local answers, relayed answers, failures.
//!
//! A request comes in at `server`, finds its way here, and is answered by `local` (the engine) or `upstream`
//! (a relay). `exchange` is what all of them write to; `failure` says what a client is told when it goes wrong.

mod auth;
mod connection;
mod decide;
mod exchange;
mod failure;
mod in_force;
mod journal;
mod listener;
mod local;
mod models;
mod observe;
mod remote;
mod route;
mod server;
mod settings;
mod traced;
mod upstream;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use http::{HeaderValue, StatusCode, header};
use pingora_timeout::fast_timeout::set_fast_timeout_to_tokio_threshold;
use tokio::sync::Semaphore;

use crate::{
    chat,
    engine::{Engine, EngineError, Job, ModelCard, Run},
    excerpt,
    policy::{Facts, Set, live::Live},
    promptlog::NOBODY,
    telemetry::{Activity, Metrics, activity::Phase},
    wire::{self, openai::ChatBody},
};
use decide::Decided;
use exchange::{Exchange, empty_response, response, set};
use failure::Failure;
use journal::Journal;
use local::SharedAnswers;
use models::{Destination, Models};
use remote::Errand;
use route::{Call, Route};

pub use auth::Keys;
pub(crate) use listener::bind_unix;
pub use listener::{BoundAddress, Listener};
pub use settings::GatewaySettings;
pub use upstream::{
    ModelAlias, UpstreamError, UpstreamFault, UpstreamSettings, UpstreamSetupError, Upstreams,
};

/// What answers requests for local models: [`Engine`], or a script in tests.
#[async_trait::async_trait]
pub trait LocalEngine: Send + Sync + 'static {
    /// The models that it can run.
    fn models(&self) -> &[ModelCard];

    /// The model that is known by `name`.
    fn model(&self, name: &str) -> Option<&ModelCard>;

    /// Checks a job and puts it into the queue.
    ///
    /// # Errors
    /// What makes the job impossible, before it waits for anything.
    async fn submit(&self, job: Job) -> Result<Run, EngineError>;
}

#[async_trait::async_trait]
impl LocalEngine for Engine {
    fn models(&self) -> &[ModelCard] {
        self.models()
    }

    fn model(&self, name: &str) -> Option<&ModelCard> {
        self.model(name)
    }

    async fn submit(&self, job: Job) -> Result<Run, EngineError> {
        self.submit(job).await
    }
}

/// The gateway.
pub struct Gateway {
    settings: GatewaySettings,
    engine: Arc<dyn LocalEngine>,
    upstreams: Upstreams,
    models: Models,
    policy: Arc<Live>,
    metrics: Arc<Metrics>,
    activity: Arc<Activity>,
    shared: SharedAnswers,
    /// One permit for each request that may be worked on.
    requests: Semaphore,
}

impl Gateway {
    /// A gateway in front of an engine and any number of upstreams, with the rules in force.
    #[must_use]
    pub fn new(
        settings: GatewaySettings,
        engine: Arc<dyn LocalEngine>,
        upstreams: Upstreams,
        policy: Arc<Live>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        // The time-outs of pingora's own kind start a thread that wakes a hundred times a second from then on: to be ruled
        // out before the first call of an upstream.
        set_fast_timeout_to_tokio_threshold(Some(Duration::ZERO));
        let models = Models::new(&*engine, &upstreams);
        metrics.know(engine.models().iter().map(|card| card.id.as_str()));
        metrics.know(upstreams.names());
        let requests = Semaphore::new(settings.max_requests);
        Arc::new(Self {
            settings,
            engine,
            upstreams,
            models,
            policy,
            metrics,
            activity: Arc::default(),
            shared: SharedAnswers::new(),
            requests,
        })
    }

    /// Keeps what the policy knows of the upstreams' models up to date, until the future is dropped.
    pub async fn follow_listings(self: Arc<Self>) {
        loop {
            self.models.lists(&*self.engine, &self.upstreams).await;
            tokio::time::sleep(LISTING_AGE).await;
        }
    }

    /// The requests in progress and the last ones.
    #[must_use]
    pub fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }

    /// What the policy engine is told of the models; follows their lists.
    #[must_use]
    pub fn facts(&self) -> Arc<ArcSwap<Facts>> {
        self.models.facts_place()
    }

    /// Answers one request whose header has been read.
    async fn answer(&self, exchange: &mut Exchange) -> Result<(), Failure> {
        let request = exchange.request();
        let allowed_origin = self.allowed_origin(request.headers.get(header::ORIGIN));
        let keys = self.settings.keys.as_ref();
        let key = keys.and_then(|keys| keys.admit(&request.headers));
        let admitted = keys.is_none() || key.is_some();
        let route = Route::find(&request.method, request.uri.path());
        // The request keeps this set to its end, whatever is loaded meanwhile.
        let set = self.policy.set();
        exchange.generation = set.generation();
        exchange.allowed_origin = allowed_origin;
        exchange.record.key = key;
        match route {
            Ok(Route::Preflight) => preflight(exchange).await,
            Ok(Route::Hello) => {
                exchange
                    .respond(response(StatusCode::OK, "text/plain"), HELLO)
                    .await
            }
            _ if !admitted => Err(Failure::Unauthorized),
            Ok(Route::Models) => self.list_models(exchange).await,
            Ok(Route::Model(id)) => self.describe_model(&id, exchange).await,
            Ok(Route::Call(call)) => self.call(call, &set, exchange).await,
            Err(failure) => Err(failure),
        }
    }

    async fn call(&self, call: Call, set: &Set, exchange: &mut Exchange) -> Result<(), Failure> {
        exchange.record.call = Some(call);
        observe::began(exchange, &self.activity);
        exchange.record.journal = self.settings.log.as_ref().map(|log| {
            let headers = &exchange.request().headers;
            let key = exchange.record.key.as_deref();
            Journal::begin(log, &exchange.id, key, headers, set.redaction())
        });
        let Ok(_slot) = self.requests.try_acquire() else {
            return Err(Failure::Busy {
                limit: self.settings.max_requests,
            });
        };
        let body = exchange
            .read_body(self.settings.body_limit, self.settings.body_timeout)
            .await?;
        let mut decided = match decide::read(call, &body) {
            Ok(Some((body, request))) => Ok(Some(self.decide(call, body, request, set, exchange)?)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        if let Ok(Some(decided)) = &mut decided
            && let Some(answer) = decided.decision.queue.instead().map(Arc::clone)
        {
            exchange.model = Some(NOBODY.to_owned());
            exchange.record.provider = NOBODY.to_owned();
            observe::decided(exchange);
            return local::without_model(decided, &answer, exchange).await;
        }
        let peeked;
        let name = match &decided {
            Ok(Some(decided)) => Ok(decided.answering()),
            Ok(None) | Err(_) => {
                peeked = wire::openai::peek(&body);
                peeked.as_ref().map(|peeked| &*peeked.model)
            }
        };
        let located = self
            .models
            .locate(name, &*self.engine, &self.upstreams)
            .await;
        let destination = match located {
            Ok(destination) => destination,
            Err(failure) => {
                if let (Some(journal), Ok(Some(decided))) = (&mut exchange.record.journal, decided)
                {
                    journal.came(|| Arc::new(decided.original));
                }
                return Err(failure);
            }
        };
        match destination {
            Destination::Engine(card) => {
                exchange.model = Some(card.id.clone());
                observe::decided(exchange);
                match decided? {
                    Some(decided) => {
                        // A body of many megabytes must not stay for as long as the answer takes.
                        drop(body);
                        local::answer(self, card, decided, set, exchange).await
                    }
                    None => local::embed(self, card, body, exchange).await,
                }
            }
            Destination::Upstream { upstream, alias } => {
                exchange.model = alias
                    .map(|alias| alias.model.as_str())
                    .or(name.ok())
                    .map(|model| excerpt::name(model).into_owned());
                exchange.record.provider = upstream.name().to_owned();
                observe::decided(exchange);
                exchange.record.show(|ticket| ticket.phase(Phase::Relayed));
                let errand = Errand {
                    call,
                    upstream,
                    alias,
                    body,
                    decided: decided.ok().flatten(),
                };
                remote::answer(self, errand, exchange).await
            }
        }
    }

    /// Asks the policy about a request, and notes what it says for the answer's header and the log.
    fn decide(
        &self,
        call: Call,
        body: ChatBody,
        request: chat::Request,
        set: &Set,
        exchange: &mut Exchange,
    ) -> Result<Decided, Failure> {
        let facts = self.models.facts();
        let headers = &exchange.request().headers;
        let mut decided = Decided::about(call, body, request, headers, set, &facts);
        if let Some(journal) = &mut exchange.record.journal {
            journal.decided(&mut decided);
        }
        let decision = &decided.decision;
        exchange.class = decision.class;
        exchange.record.settled = Some(decision.into());
        match &decision.deny {
            Some(denial) => {
                let denied = Failure::Denied(denial.message.clone());
                if let Some(journal) = &mut exchange.record.journal {
                    journal.came(|| Arc::new(decided.original));
                }
                Err(denied)
            }
            None => Ok(decided),
        }
    }

    async fn list_models(&self, exchange: &mut Exchange) -> Result<(), Failure> {
        let list = self.models.list(&*self.engine, &self.upstreams).await;
        exchange.respond_json(&list).await
    }

    async fn describe_model(&self, id: &str, exchange: &mut Exchange) -> Result<(), Failure> {
        let model = self
            .models
            .describe(id, &*self.engine, &self.upstreams)
            .await?;
        exchange.respond_json(&model).await
    }

    /// What `Access-Control-Allow-Origin` is to say to a page of this origin.
    fn allowed_origin(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = origin?;
        self.settings
            .cors
            .iter()
            .find_map(|allowed| match allowed.as_str() {
                "*" => Some(HeaderValue::from_static("*")),
                allowed if allowed.as_bytes() == origin.as_bytes() => Some(origin.clone()),
                _ => None,
            })
    }
}

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// How old the policy's knowledge of the upstreams' models becomes while nobody asks for the list.
const LISTING_AGE: Duration = Duration::from_secs(60);

/// What a person sees who opens the address in a browser.
const HELLO: &[u8] = b"rkgate is running; the API is at /v1\n";

/// Tells a browser what a page may send, if it may call at all.
async fn preflight(exchange: &mut Exchange) -> Result<(), Failure> {
    let mut header = empty_response(StatusCode::NO_CONTENT);
    set(
        &mut header,
        "allow",
        HeaderValue::from_static("GET, HEAD, POST, OPTIONS"),
    );
    if exchange.allowed_origin.is_some() {
        set(
            &mut header,
            "access-control-allow-methods",
            HeaderValue::from_static("GET, POST, OPTIONS"),
        );
        set(
            &mut header,
            "access-control-max-age",
            HeaderValue::from_static("600"),
        );
        // A wildcard would leave out `Authorization`.
        if let Some(headers) = exchange
            .request()
            .headers
            .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        {
            let headers = headers.clone();
            set(&mut header, "access-control-allow-headers", headers);
        }
    }
    exchange.respond(header, b"").await
}
