//! The OpenAI formats: chat completions, completions, embeddings and the model list.

mod body;
mod completion;
mod embeddings;
mod encode;
mod error;
mod fields;
mod json;
mod message;
mod models;
mod patch;
mod peek;
mod raw;
mod reader;
mod reply;
mod request;
mod special;
mod stream;
mod think_switch;
mod tools;
mod unescape;
mod upstream_answer;
mod usage;

pub use body::ChatBody;
pub use completion::{CompletionRequest, decode_completion};
pub use embeddings::{EmbeddingRequest, Encoding, decode_embeddings, embedding_list};
pub use encode::{chat_json, encode_chat};
pub use error::{DecodeError, ErrorBody};
pub use models::{Model, decode_models, model_list};
pub use peek::{Peek, peek, with_model};
pub use reply::{chat_completion, text_completion};
pub use request::decode_chat;
pub use stream::{ChunkEncoder, write_done, write_error, write_heartbeat, write_status};
pub use think_switch::ThinkSwitch;
pub use upstream_answer::{AnswerStream, rewrite_answer};

use crate::chat::FinishReason;

/// The finish reason's name in this format.
fn finish_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
    }
}
