//! One person at Open WebUI: which requests a question causes, in which order and when.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Kind, Question, Request, Script,
    client::{self, Answer, Call},
    open_webui::{OpenWebUi, Said, queries},
    play::Clock,
};

/// How long before its chat the title of a new chat is asked for; measured were up to 690 ms.
const TITLE_FIRST: Duration = Duration::from_millis(300);
/// Between the end of an answer and the request for follow-ups.
const FOLLOW_UP_AFTER: Duration = Duration::from_millis(30);
/// How long a person takes from the end of an answer to the next question.
const THOUGHT: Duration = Duration::from_secs(2);

/// Plays parts of a script against a gateway.
pub(super) struct Player {
    pub(super) address: SocketAddr,
    pub(super) script: Arc<Script>,
    pub(super) recorded: Arc<OpenWebUi>,
    pub(super) clock: Clock,
    /// Hears of each request that has ended.
    pub(super) ended: mpsc::UnboundedSender<Request>,
}

/// Whose question it is, and which.
#[derive(Debug, Clone, Copy)]
struct Place {
    person: usize,
    turn: usize,
}

impl Player {
    /// One person's part, until the last answer and the last task.
    pub(super) async fn part(self: Arc<Self>, person: usize) {
        let Some(part) = self.script.people.get(person) else {
            return;
        };
        self.clock.pass(Duration::from_secs_f64(part.after)).await;
        let mut said = Vec::new();
        let mut tasks = JoinSet::new();
        for (turn, question) in part.turns.iter().enumerate() {
            let place = Place { person, turn };
            if turn == 0 {
                let body = self.recorded.title(&self.script.model, &question.says);
                let player = Arc::clone(&self);
                tasks.spawn(async move { drop(player.ask(place, Kind::Title, &body).await) });
                self.clock.pass(TITLE_FIRST).await;
            }
            let answer = self.question(place, question, &mut said).await;
            let thought = self.clock.pass(THOUGHT);
            // A turn that failed leaves no message of the model's, and causes no tasks.
            if let Ok(answer) = answer {
                said.push(Said {
                    by_model: true,
                    // As Open WebUI does; thinking does not come back either.
                    text: answer.text.trim().to_owned(),
                });
                tasks.spawn(Arc::clone(&self).after_answer(place, said.clone()));
            }
            if turn + 1 < part.turns.len() {
                thought.await;
            }
        }
        tasks.join_all().await;
    }

    /// A question, with what is searched for it before.
    async fn question(
        &self,
        place: Place,
        question: &Question,
        said: &mut Vec<Said>,
    ) -> Result<Answer, String> {
        said.push(Said {
            by_model: false,
            text: question.says.clone(),
        });
        let mut shown = said.clone();
        if !question.sources.is_empty() {
            self.search(place, said).await;
            let found = question.sources.iter();
            let found = found.filter_map(|name| {
                let (name, passage) = self.script.sources.get_key_value(name)?;
                Some((name.as_str(), passage.as_str()))
            });
            let found: Vec<_> = found.collect();
            if let Some(last) = shown.last_mut() {
                last.text = self.recorded.with_sources(&found, &question.says);
            }
        }
        let system = self.script.system.as_deref();
        let body = self.recorded.chat(&self.script.model, system, &shown);
        self.ask(place, Kind::Chat, &body).await
    }

    /// Asks what to search for, and for the vectors to search with.
    async fn search(&self, place: Place, said: &[Said]) {
        let body = self.recorded.query(&self.script.model, said);
        let Ok(answer) = self.ask(place, Kind::Query, &body).await else {
            return;
        };
        let Some(model) = &self.script.embedding_model else {
            return;
        };
        let bodies: Vec<Value> = queries(&answer.text)
            .iter()
            .map(|query| self.recorded.embedding(model, query))
            .collect();
        let asked = bodies
            .iter()
            .map(|body| self.ask(place, Kind::Embedding, body));
        join_all(asked).await;
    }

    /// What Open WebUI asks for when an answer has ended.
    async fn after_answer(self: Arc<Self>, place: Place, said: Vec<Said>) {
        let model = &self.script.model;
        self.clock.pass(FOLLOW_UP_AFTER).await;
        // How tasks end changes nothing for what follows.
        let body = self.recorded.follow_up(model, &said);
        let _ = self.ask(place, Kind::FollowUp, &body).await;
        if place.turn == 0 {
            let body = self.recorded.tags(model, &said);
            let _ = self.ask(place, Kind::Tags, &body).await;
        }
    }

    /// Sends one request and tells of it when it has ended.
    async fn ask(&self, place: Place, kind: Kind, body: &Value) -> Result<Answer, String> {
        let id = uuid::Uuid::new_v4().to_string();
        let path = match kind {
            Kind::Embedding => "/v1/embeddings",
            _ => "/v1/chat/completions",
        };
        let sent = Instant::now();
        let name = self.script.people.get(place.person);
        let name = name.map_or("", |person| &person.name);
        let call = Call {
            path,
            id: &id,
            from: self.script.forward_headers.then_some((name, name)),
            body,
        };
        let result = client::post(self.address, call).await;
        let first_text = result.as_ref().ok().and_then(|answer| answer.first_text);
        let request = Request {
            person: place.person,
            turn: place.turn,
            kind,
            sent: self.clock.at(sent),
            first_text: first_text.map(|moment| self.clock.at(moment)),
            ended: self.clock.now(),
            failure: result.as_ref().err().cloned(),
            id,
        };
        // Nobody is left to hear of it where the play was given up.
        let _ = self.ended.send(request);
        result
    }
}
