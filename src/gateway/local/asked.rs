//! What a request asks of the engine, whichever call it came by.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    chat::{
        self, ToolChoice,
        answer::{AnswerOptions, Thinking},
    },
    engine::{EngineError, Job, ModelCard, Prompt, Run},
    gateway::{failure::Failure, route::Call},
    wire::openai::{CompletionRequest, decode_chat, decode_completion},
};

/// What a request asks of the engine.
pub(super) struct Asked {
    pub(super) call: Call,
    /// The model's name as the client spelt it.
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    prompt: Prompt,
    sampling: chat::Sampling,
    max_tokens: Option<u32>,
    stop: Vec<String>,
    tools: Vec<String>,
    /// What to expect of the answer where the prompt itself does not open a think block.
    thinking: Thinking,
}

impl Asked {
    pub(super) fn decode(call: Call, body: &Bytes, card: &ModelCard) -> Result<Self, Failure> {
        match call {
            Call::Chat => Ok(Self::chat(decode_chat(body)?, card)),
            Call::Completion => Ok(Self::completion(decode_completion(body)?)),
            Call::Embeddings => Err(Failure::Engine(EngineError::Unsupported(format!(
                "the model `{}` writes text; it gives no embeddings",
                card.id
            )))),
        }
    }

    fn chat(request: chat::Request, card: &ModelCard) -> Self {
        let tools = match request.tool_choice {
            ToolChoice::None => Vec::new(),
            ToolChoice::Auto | ToolChoice::Required | ToolChoice::Named(_) => {
                request.tools.iter().map(|tool| tool.name.clone()).collect()
            }
        };
        let thinking = match request.thinking.unwrap_or(card.thinking) {
            true => Thinking::Expected,
            false => Thinking::Unexpected,
        };
        Self {
            call: Call::Chat,
            model: request.model.clone(),
            stream: request.stream,
            include_usage: request.include_usage,
            sampling: request.sampling,
            max_tokens: request.max_tokens,
            stop: request.stop.clone(),
            tools,
            thinking,
            prompt: Prompt::Chat(Arc::new(request)),
        }
    }

    fn completion(request: CompletionRequest) -> Self {
        Self {
            call: Call::Completion,
            model: request.model,
            stream: request.stream,
            include_usage: request.include_usage,
            sampling: request.sampling,
            max_tokens: request.max_tokens,
            stop: request.stop,
            tools: Vec::new(),
            thinking: Thinking::Verbatim,
            prompt: Prompt::Text(request.prompt),
        }
    }

    /// The job for the engine.
    pub(super) fn job(&self, id: &str, card: &ModelCard) -> Job {
        Job {
            id: id.to_owned(),
            model: card.id.clone(),
            prompt: self.prompt.clone(),
            sampling: self.sampling,
            max_tokens: self.max_tokens,
        }
    }

    /// How to read the answer of this run.
    pub(super) fn answer_options(&self, run: &Run, id: &str) -> AnswerOptions {
        AnswerOptions {
            thinking: if run.thinking_opened {
                Thinking::Opened
            } else {
                self.thinking
            },
            stop: self.stop.clone(),
            tools: self.tools.clone(),
            id_seed: id.to_owned(),
        }
    }
}
