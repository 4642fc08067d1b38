//! Members of the union in `RKLLMInput` that all generations share.

use std::ffi::c_char;

use rkllm::abi::{RKLLMEmbedInput, RKLLMTokenInput};

use super::{Handle, text, values};
use crate::{
    input::{Frames, Input},
    template::Role,
};

/// # Safety
/// The text is NULL or valid.
pub(super) unsafe fn prompt(
    prompt: *const c_char,
    role: Role,
    enable_thinking: bool,
) -> Option<Input> {
    // SAFETY: as the caller vouches.
    let text = unsafe { text(prompt) }?;
    Some(Input::Prompt {
        text,
        role,
        enable_thinking,
    })
}

/// # Safety
/// The ids are NULL or as many as stated.
pub(super) unsafe fn tokens(input: RKLLMTokenInput) -> Option<Input> {
    // SAFETY: as the caller vouches.
    let ids = unsafe { values(input.input_ids, input.n_tokens) };
    (!ids.is_empty()).then_some(Input::Tokens(ids))
}

/// # Safety
/// The rows are NULL or as many as stated, of the model's width.
pub(super) unsafe fn embedding(handle: &Handle, input: RKLLMEmbedInput) -> Option<Input> {
    // SAFETY: as the caller vouches.
    let numbers = unsafe { rows(handle, input.embed, input.n_tokens) };
    (!numbers.is_empty()).then_some(Input::Embedding(numbers))
}

/// `count` rows of the model's embedding width; NULL is empty.
///
/// # Safety
/// The rows are NULL or as many as stated.
pub(super) unsafe fn rows(handle: &Handle, start: *const f32, count: usize) -> Vec<f32> {
    let width = handle.session.model.header.embd_size;
    // SAFETY: as the caller vouches.
    unsafe { values(start, count.saturating_mul(width)) }
}

/// Pictures between the marks that were set at init, as runtimes before 1.3.0 have them.
pub(super) fn marked(handle: &Handle, embedding: Vec<f32>, tokens: usize, count: usize) -> Frames {
    let (start, end) = handle.image_marks.clone();
    Frames {
        embedding,
        tokens,
        count,
        start,
        end,
        ..Frames::default()
    }
}
