//! What a request asks of the engine, whichever call it came by.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    chat::{
        self, ToolChoice,
        answer::{AnswerOptions, Thinking},
    },
    engine::{EngineError, Job, ModelCard, Origin, Prompt, QueueClass, Run},
    gateway::{failure::Failure, route::Call},
    wire::openai::{CompletionRequest, decode_chat, decode_completion},
};

/// How the answer to a request is to be read and told.
pub(super) struct Manner {
    pub(super) call: Call,
    /// The model's name as the client spelt it.
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    stop: Vec<String>,
    /// Names of the tools that may be called.
    tools: Vec<String>,
    /// What to expect of the answer where the prompt itself does not open a think block.
    thinking: Thinking,
}

/// Reads what a request asks of this model.
pub(super) fn decode(
    call: Call,
    body: &Bytes,
    id: &str,
    card: &ModelCard,
) -> Result<(Job, Manner), Failure> {
    match call {
        Call::Chat => Ok(chat(decode_chat(body)?, id, card)),
        Call::Completion => Ok(completion(decode_completion(body)?, id, card)),
        Call::Embeddings => Err(Failure::Engine(EngineError::Unsupported(format!(
            "the model `{}` writes text; it gives no embeddings",
            card.id
        )))),
    }
}

fn chat(request: chat::Request, id: &str, card: &ModelCard) -> (Job, Manner) {
    let tools = match request.tool_choice {
        ToolChoice::None => Vec::new(),
        ToolChoice::Auto | ToolChoice::Required | ToolChoice::Named(_) => {
            request.tools.iter().map(|tool| tool.name.clone()).collect()
        }
    };
    let manner = Manner {
        call: Call::Chat,
        model: request.model.clone(),
        stream: request.stream,
        include_usage: request.include_usage,
        stop: request.stop.clone(),
        tools,
        thinking: match request.thinking.unwrap_or(card.thinking) {
            true => Thinking::Expected,
            false => Thinking::Unexpected,
        },
    };
    let job = Job {
        id: id.to_owned(),
        model: card.id.clone(),
        sampling: request.sampling,
        max_tokens: request.max_tokens,
        prompt: Prompt::Chat(Arc::new(request)),
        queue: QueueClass::default(),
        origin: Origin::default(),
    };
    (job, manner)
}

fn completion(request: CompletionRequest, id: &str, card: &ModelCard) -> (Job, Manner) {
    let job = Job {
        id: id.to_owned(),
        model: card.id.clone(),
        sampling: request.sampling,
        max_tokens: request.max_tokens,
        prompt: Prompt::Text(request.prompt),
        queue: QueueClass::default(),
        origin: Origin::default(),
    };
    let manner = Manner {
        call: Call::Completion,
        model: request.model,
        stream: request.stream,
        include_usage: request.include_usage,
        stop: request.stop,
        tools: Vec::new(),
        thinking: Thinking::Verbatim,
    };
    (job, manner)
}

impl Manner {
    /// How to read the answer of this run.
    pub(super) fn answer_options(&self, run: &Run, id: &str) -> AnswerOptions {
        AnswerOptions {
            thinking: if run.thinking_opened && self.call == Call::Chat {
                Thinking::Opened
            } else {
                self.thinking
            },
            stop: self.stop.clone(),
            tools: self.tools.clone(),
            id_seed: id.to_owned(),
            ..AnswerOptions::default()
        }
    }
}
