//! What a request asks of the engine, whichever call it came by.

use std::sync::Arc;

use crate::{
    chat::{
        self, ToolChoice,
        answer::{AnswerOptions, Think, Thinking},
    },
    engine::{Job, ModelCard, Origin, Prompt, QueueClass},
    gateway::{decide::Decided, exchange::Exchange, route::Call},
    policy::{Class, Decision},
};

/// Tokens that a model may spend on thinking that nobody is to see. A small model that thinks although it was told not
/// to comes to its end in about half as many.
const UNSEEN_THINKING: u32 = 512;

/// How the answer to a request is to be read and told.
pub(super) struct Manner {
    pub(super) call: Call,
    /// The model's name as the client spelt it.
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// What to expect of an answer whose prompt does not open a think block itself, and what to make of it.
    options: AnswerOptions,
}

/// What a decided request asks of this model.
pub(super) fn job(decided: &Decided, card: &ModelCard, exchange: &mut Exchange) -> (Job, Manner) {
    let decision = &decided.decision;
    let request = decided
        .rewritten
        .as_ref()
        .unwrap_or(&decided.original)
        .clone();
    let (prompt, sent, manner) = match decided.call {
        Call::Completion => completion(request),
        Call::Chat | Call::Embeddings => chat(request, decision, card),
    };
    if let Some(journal) = &mut exchange.record.journal {
        let came = decided
            .rewritten
            .is_some()
            .then(|| decided.original.clone());
        journal.sent(came, &sent, decided.original.thinking);
    }
    let job = Job {
        id: exchange.id.clone(),
        model: card.id.clone(),
        prompt,
        sampling: decision.sampling,
        max_tokens: manner
            .options
            .visible_tokens
            .map(|visible| visible.saturating_add(UNSEEN_THINKING))
            .or(decision.max_tokens),
        queue: QueueClass {
            name: decision.queue.name.clone(),
            urgency: decision.queue.urgency,
            ages_to: 0,
            deadline: decision.queue.deadline.map(|time| exchange.started + time),
            fallback: manner.options.fallback.is_some(),
            // What completes words that have been typed on since is of no use.
            newest_wins: decision.class == Class::Autocomplete,
            // So is what a person might ask next, once something was asked.
            until_question: decision.class == Class::FollowUp,
        },
        origin: origin(exchange),
    };
    (job, manner)
}

fn chat(
    mut request: chat::Request,
    decision: &Decision,
    card: &ModelCard,
) -> (Prompt, Arc<chat::Request>, Manner) {
    request.thinking = decision.thinking;
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
    let options = decision.answer_options(&request.stop);
    let unseen = options.think == Think::Drop;
    let manner = Manner {
        call: Call::Chat,
        model: request.model.clone(),
        stream: request.stream,
        include_usage: request.include_usage,
        options: AnswerOptions {
            thinking,
            tools,
            visible_tokens: decision.max_tokens.filter(|_| unseen),
            ..options
        },
    };
    let sent = Arc::new(request);
    (Prompt::Chat(Arc::clone(&sent)), sent, manner)
}

fn completion(request: chat::Request) -> (Prompt, Arc<chat::Request>, Manner) {
    let manner = Manner {
        call: Call::Completion,
        model: request.model.clone(),
        stream: request.stream,
        include_usage: request.include_usage,
        options: AnswerOptions {
            thinking: Thinking::Verbatim,
            stop: request.stop.clone(),
            ..AnswerOptions::default()
        },
    };
    let text = request
        .messages
        .iter()
        .map(|message| message.content.text());
    let prompt = Prompt::Text(text.collect());
    (prompt, Arc::new(request), manner)
}

/// Who asks, as far as Open WebUI's headers tell, or else the API key. A header that Open WebUI had nothing to fill in
/// for is empty.
pub(super) fn origin(exchange: &Exchange) -> Origin {
    let headers = &exchange.request().headers;
    let named = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        (!value.is_empty()).then_some(value)
    };
    // Marked, so that nobody's id is taken for a key's name.
    let key = || Some(format!("key:{}", exchange.record.key.as_deref()?).into());
    Origin {
        user: named("x-openwebui-user-id").map(Into::into).or_else(key),
        conversation: named("x-openwebui-chat-id").map(Into::into),
    }
}

impl Manner {
    /// How an answer that no model gives is to be told.
    pub(super) fn without_model(decided: &Decided) -> Self {
        let request = &decided.original;
        Self {
            call: decided.call,
            model: request.model.clone(),
            stream: request.stream,
            include_usage: request.include_usage,
            options: AnswerOptions::default(),
        }
    }

    /// How to read the answer; `opened` where its prompt ends inside a think block.
    pub(super) fn answer_options(&self, opened: bool, id: &str) -> AnswerOptions {
        AnswerOptions {
            thinking: if opened && self.call == Call::Chat {
                Thinking::Opened
            } else {
                self.options.thinking
            },
            id_seed: id.to_owned(),
            ..self.options.clone()
        }
    }

    /// Whether the client is to see nothing of the answer's thinking.
    pub(super) fn drops_thinking(&self) -> bool {
        self.options.think == Think::Drop
    }
}
