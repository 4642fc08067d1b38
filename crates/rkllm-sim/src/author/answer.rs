//! Who answers: the behaviours in their order.

use super::{
    arithmetic, chance::Chance, code, context, conversation::Conversation, counting, echo, images,
    interpreter, prose, tasks, tools,
};

/// What kind of text an answer is; faults and loops strike only where they do in real models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Prose,
    /// A JSON object and nothing else.
    Json,
    /// One or more `<tool_call>` blocks.
    ToolCall,
    /// Something whose exact text was asked for.
    Exact,
}

/// An answer without thinking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) form: Form,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn prose(text: impl Into<String>) -> Self {
        Self {
            form: Form::Prose,
            text: text.into(),
        }
    }

    pub(crate) fn exact(text: impl Into<String>) -> Self {
        Self {
            form: Form::Exact,
            text: text.into(),
        }
    }

    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self {
            form: Form::Json,
            text: super::json::spaced(value),
        }
    }
}

/// A behaviour: an answer, if the conversation asks for what it can do.
type Behaviour = fn(&Conversation, &Chance) -> Option<Answer>;

/// From the most to the least specific. Tasks come first: their prompts quote chats that may ask for anything. What a
/// tool or a program gave comes before asking for it again, retrieved context before what the model itself knows.
const BEHAVIOURS: &[Behaviour] = &[
    tasks::answer,
    tools::report,
    interpreter::report,
    interpreter::run,
    tools::call,
    context::answer,
    images::answer,
    echo::answer,
    counting::answer,
    arithmetic::answer,
    code::answer,
];

/// The answer to a conversation.
pub(crate) fn answer(conversation: &Conversation, chance: &Chance) -> Answer {
    let specific = BEHAVIOURS
        .iter()
        .find_map(|behaviour| behaviour(conversation, chance));
    specific.unwrap_or_else(|| Answer::prose(prose::write(conversation, chance)))
}
