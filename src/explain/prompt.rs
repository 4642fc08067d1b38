//! What the model reads in the end, and how long that is.

use serde::Serialize;

use super::{Models, difference::transcript};
use crate::{
    chat::{Request, Role},
    engine::{
        EngineError,
        worker::{PieceKind, PromptPiece},
    },
    policy::{Estimate, ModelFact, ModelSettings},
};

/// A prompt and its length in tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prompt {
    /// Whether the tokens are counted by the model's own tokenizer; estimated, rather too high than too low, otherwise.
    pub exact: bool,
    /// Why they are only estimated.
    pub why_estimated: Option<String>,
    /// Tokens of the whole prompt.
    pub tokens: u32,
    /// Tokens that the prompt would have without rewriting.
    pub unrewritten: u32,
    /// Of the tokens, what the system messages cost.
    pub system: u32,
    /// Of the tokens, what the tool definitions cost.
    pub tools: u32,
    /// Tokens that the model's context holds, if known.
    pub context: Option<u32>,
    /// Tokens of the context that are left for the answer.
    pub left: Option<u32>,
    /// Tokens that the policy keeps free for the answer.
    pub reserve: Option<u32>,
    /// Why the engine refuses the prompt.
    pub refused: Option<String>,
    /// The text, in order. Where it is estimated, the messages as they are sent.
    pub pieces: Vec<PromptPiece>,
}

impl Prompt {
    /// The prompt of `sent`, which was `unrewritten` before.
    pub(super) fn new(
        models: &Models<'_>,
        model: Option<&ModelFact>,
        settings: Option<&ModelSettings>,
        sent: &Request,
        unrewritten: &Request,
    ) -> Self {
        let reader = models.reader(model);
        let (read, why_estimated, mut refused) = match &reader {
            Ok(reader) => match reader.read(sent) {
                Ok(read) => (Some(read), None, None),
                Err(why) => (None, Some(why.clone()), Some(why)),
            },
            Err(why) => (None, Some(why.to_string()), None),
        };
        let estimate = Estimate::of(sent, model);
        let count = |request: &Request| match &reader {
            Ok(reader) if read.is_some() => reader.read(request).ok().map(|read| length(&read.ids)),
            _ => None,
        };
        let tokens = read.as_ref().map(|read| length(&read.ids));
        let cost = |without: &dyn Fn(&mut Request), estimated: u32| {
            let mut request = sent.clone();
            without(&mut request);
            match (tokens, count(&request)) {
                _ if request == *sent => 0,
                (Some(with), Some(without)) => with.saturating_sub(without),
                _ => estimated,
            }
        };
        let system = cost(
            &|request| {
                request
                    .messages
                    .retain(|message| message.role != Role::System)
            },
            estimate.system,
        );
        let tools = cost(&|request| request.tools.clear(), estimate.tools);
        let tokens = tokens.unwrap_or(estimate.prompt);
        let context = model.and_then(|model| model.context);
        if let Some(context) = context
            && tokens >= context
            && read.is_some()
        {
            let prompt = tokens;
            let limit = context;
            refused = Some(EngineError::ContextLength { prompt, limit }.to_string());
        }
        Self {
            exact: read.is_some(),
            why_estimated,
            tokens,
            unrewritten: count(unrewritten)
                .unwrap_or_else(|| Estimate::of(unrewritten, model).prompt),
            system,
            tools,
            context,
            left: context.map(|context| context.saturating_sub(tokens)),
            reserve: settings.and_then(|settings| settings.reserve),
            refused,
            pieces: read.map_or_else(|| as_sent(sent), |read| read.pieces),
        }
    }
}

pub(super) fn length(ids: &[u32]) -> u32 {
    u32::try_from(ids.len()).unwrap_or(u32::MAX)
}

/// A request as text, where no template is at hand.
pub(super) fn as_sent(request: &Request) -> Vec<PromptPiece> {
    let piece = |text: String| PromptPiece {
        text,
        kind: PieceKind::Text,
    };
    let tools = request.tools.iter();
    let mut pieces: Vec<PromptPiece> = tools
        .map(|tool| piece(format!("[tool] {}\n", tool.definition)))
        .collect();
    pieces.extend(request.messages.iter().map(|message| {
        piece(format!(
            "[{}] {}\n",
            message.role.as_str(),
            transcript(message)
        ))
    }));
    pieces
}
