//! Embeddings from the engine: a run for each input, so that whatever is more urgent comes in between.

use std::time::Instant;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::asked::origin;
use crate::{
    chat::{Passage, Sampling, Usage},
    engine::{EngineError, Job, ModelCard, Progress, Prompt, QueueClass},
    gateway::{Gateway, LocalEngine, exchange::Exchange, failure::Failure, observe::Record},
    telemetry::activity::Phase,
    wire::openai::{self, decode_embeddings},
};

/// Inputs of one request that are with the engine at once: one runs and one stands ready behind it. More would take
/// the places of others in the queue.
const AT_ONCE: usize = 2;

/// What one run gave.
struct Embedded {
    /// Which of the inputs it was.
    index: usize,
    vector: Vec<f32>,
    tokens: u32,
}

/// Where one of the inputs is.
#[derive(Debug, Clone, Copy)]
enum Step {
    Queued { ahead: usize },
    Loading,
    Started,
    Ended,
}

/// Where the request as a whole is.
struct Whereabouts {
    /// The input that has the NPU.
    at_work: Option<usize>,
    /// Since when none of them has it and others are before them.
    waits_since: Option<Instant>,
}

impl Whereabouts {
    /// Of a request that has come to the engine.
    fn new() -> Self {
        Self {
            at_work: None,
            waits_since: Some(Instant::now()),
        }
    }

    /// Takes what happened to one of the inputs.
    fn take(&mut self, (index, step): (usize, Step), record: &mut Record) {
        match step {
            Step::Started => {
                self.at_work = Some(index);
                let waited = self.waits_since.take().map(|since| since.elapsed());
                *record.queued.get_or_insert_default() += waited.unwrap_or_default();
                record.show(|ticket| ticket.phase(Phase::Running));
            }
            // The next one has the NPU already, unless it tells that it waits.
            Step::Ended => {
                self.at_work.take_if(|at_work| *at_work == index);
            }
            Step::Queued { ahead } => {
                self.at_work.take_if(|at_work| *at_work == index);
                if self.at_work.is_none() {
                    self.waits_since.get_or_insert_with(Instant::now);
                    record.show(|ticket| ticket.queued(ahead));
                }
            }
            Step::Loading if self.at_work.is_none() => {
                record.show(|ticket| ticket.phase(Phase::Loading));
            }
            Step::Loading => {}
        }
    }
}

/// Answers a request for embeddings from the engine with this model.
pub(in crate::gateway) async fn embed(
    gateway: &Gateway,
    card: &ModelCard,
    body: Bytes,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let mut request = decode_embeddings(&body)?;
    // Megabytes of text must not stay for as long as the answer takes.
    drop(body);
    let passages = std::mem::take(&mut request.passages);
    let mut vectors = vec![Vec::new(); passages.len()];
    let job = Job {
        id: exchange.id.clone(),
        model: card.id.clone(),
        prompt: Prompt::Embed(Passage::Tokens(Vec::new())),
        sampling: Sampling::default(),
        // All that such a run gives is one piece.
        max_tokens: Some(1),
        queue: class(),
        origin: origin(exchange),
    };
    exchange.record.show(|ticket| ticket.phase(Phase::Queued));
    let (steps, mut happened) = mpsc::unbounded_channel();
    let mut runs = std::pin::pin!(runs(&*gateway.engine, job, passages, steps));
    let mut whereabouts = Whereabouts::new();
    let mut usage = Usage::default();
    loop {
        let embedded = tokio::select! {
            biased;
            // What runs and what waits is dropped then, and ends with that.
            gone = exchange.client_gone() => return Err(gone),
            Some(step) = happened.recv() => {
                whereabouts.take(step, &mut exchange.record);
                continue;
            }
            embedded = runs.next() => match embedded {
                Some(embedded) => embedded?,
                None => break,
            },
        };
        usage.prompt = usage.prompt.saturating_add(embedded.tokens);
        exchange.record.usage = Some(usage);
        if let Some(place) = vectors.get_mut(embedded.index) {
            *place = request.fit(embedded.vector)?;
        }
    }
    while let Ok(step) = happened.try_recv() {
        whereabouts.take(step, &mut exchange.record);
    }
    let list = openai::embedding_list(&request.model, &vectors, request.encoding, usage.prompt);
    exchange.respond_json(&list).await
}

/// A person waits for a document to be read or a search to begin, but less than for an answer, however long it takes.
fn class() -> QueueClass {
    QueueClass {
        name: "embeddings".into(),
        urgency: QueueClass::PERSON_WAITS,
        ages_to: QueueClass::PERSON_WAITS,
        ..QueueClass::default()
    }
}

/// The runs as they end. The longest inputs go first, so that one that does not fit is found before the others have
/// cost anything.
fn runs<'a>(
    engine: &'a dyn LocalEngine,
    job: Job,
    passages: Vec<Passage>,
    steps: mpsc::UnboundedSender<(usize, Step)>,
) -> impl Stream<Item = Result<Embedded, Failure>> + 'a {
    let mut passages: Vec<(usize, Passage)> = passages.into_iter().enumerate().collect();
    passages.sort_by_key(|(_, passage)| std::cmp::Reverse(passage.extent()));
    stream::iter(passages)
        .map(move |(index, passage)| {
            let job = Job {
                prompt: Prompt::Embed(passage),
                ..job.clone()
            };
            run(engine, job, index, steps.clone())
        })
        .buffer_unordered(AT_ONCE)
}

async fn run(
    engine: &dyn LocalEngine,
    job: Job,
    index: usize,
    steps: mpsc::UnboundedSender<(usize, Step)>,
) -> Result<Embedded, Failure> {
    let mut run = engine.submit(job).await.map_err(|error| match error {
        EngineError::ContextLength { prompt, limit } => Failure::InputTooLong {
            index,
            tokens: prompt,
            limit: limit.saturating_sub(1),
        },
        error => Failure::Engine(error),
    })?;
    // Who is to be told is there as long as this runs.
    let tell = |step| {
        let _ = steps.send((index, step));
    };
    let mut given = None;
    while let Some(progress) = run.progress.recv().await {
        match progress {
            Progress::Queued { ahead, .. } => tell(Step::Queued { ahead }),
            Progress::Loading => tell(Step::Loading),
            Progress::Started(_) => tell(Step::Started),
            Progress::Embedding(vector) => given = Some(vector),
            Progress::Failed(error) => return Err(Failure::Engine(error)),
            Progress::Done(_) => break,
            Progress::Reading { .. } | Progress::Piece { .. } => {}
        }
    }
    tell(Step::Ended);
    let Some(vector) = given else {
        tracing::error!("the engine ended a run without an embedding");
        return Err(Failure::Internal);
    };
    Ok(Embedded {
        index,
        vector,
        tokens: run.prompt_tokens,
    })
}
