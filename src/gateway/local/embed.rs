//! Embeddings from the engine: a run for each input, so that whatever is more urgent comes in between.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};

use super::asked::origin;
use crate::{
    chat::{Passage, Sampling, Usage},
    engine::{EngineError, Job, ModelCard, Progress, Prompt, QueueClass},
    gateway::{Gateway, LocalEngine, exchange::Exchange, failure::Failure},
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
    /// Time in the engine's queue.
    queued: Duration,
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
        origin: origin(&exchange.request().headers),
    };
    exchange.record.show(|ticket| ticket.phase(Phase::Queued));
    let mut runs = std::pin::pin!(runs(&*gateway.engine, job, passages));
    let mut usage = Usage::default();
    loop {
        let embedded = tokio::select! {
            biased;
            // What runs and what waits is dropped then, and ends with that.
            gone = exchange.client_gone() => return Err(gone),
            embedded = runs.next() => match embedded {
                Some(embedded) => embedded?,
                None => break,
            },
        };
        let record = &mut exchange.record;
        if record.queued.is_none() {
            record.queued = Some(embedded.queued);
            record.show(|ticket| ticket.phase(Phase::Running));
        }
        usage.prompt = usage.prompt.saturating_add(embedded.tokens);
        record.usage = Some(usage);
        if let Some(place) = vectors.get_mut(embedded.index) {
            *place = request.fit(embedded.vector)?;
        }
    }
    let list = openai::embedding_list(&request.model, &vectors, request.encoding, usage.prompt);
    exchange.respond_json(&list).await
}

/// A person waits for a document to be read or a search to begin, but less than for an answer.
fn class() -> QueueClass {
    QueueClass {
        name: "embeddings".into(),
        urgency: QueueClass::PERSON_WAITS,
        ..QueueClass::default()
    }
}

/// The runs as they end. The longest inputs go first, so that one that does not fit is found before the others have
/// cost anything.
fn runs<'a>(
    engine: &'a dyn LocalEngine,
    job: Job,
    passages: Vec<Passage>,
) -> impl Stream<Item = Result<Embedded, Failure>> + 'a {
    let mut passages: Vec<(usize, Passage)> = passages.into_iter().enumerate().collect();
    passages.sort_by_key(|(_, passage)| std::cmp::Reverse(passage.extent()));
    stream::iter(passages)
        .map(move |(index, passage)| {
            let job = Job {
                prompt: Prompt::Embed(passage),
                ..job.clone()
            };
            run(engine, job, index)
        })
        .buffer_unordered(AT_ONCE)
}

async fn run(engine: &dyn LocalEngine, job: Job, index: usize) -> Result<Embedded, Failure> {
    let mut run = engine.submit(job).await.map_err(|error| match error {
        EngineError::ContextLength { prompt, limit } => Failure::InputTooLong {
            index,
            tokens: prompt,
            limit: limit.saturating_sub(1),
        },
        error => Failure::Engine(error),
    })?;
    let mut queued = Duration::ZERO;
    let mut given = None;
    while let Some(progress) = run.progress.recv().await {
        match progress {
            Progress::Started(started) => queued = started.queued,
            Progress::Embedding(vector) => given = Some(vector),
            Progress::Failed(error) => return Err(Failure::Engine(error)),
            Progress::Done(_) => break,
            Progress::Queued { .. }
            | Progress::Loading
            | Progress::Reading { .. }
            | Progress::Piece { .. } => {}
        }
    }
    let Some(vector) = given else {
        tracing::error!("the engine ended a run without an embedding");
        return Err(Failure::Internal);
    };
    Ok(Embedded {
        index,
        vector,
        tokens: run.prompt_tokens,
        queued,
    })
}
