//! The result callbacks that the library calls during `rkllm_run`.
//!
//! They never unwind and always return 0. Returning 1 would not cancel but pause: the next run would go on with
//! this answer instead of reading its own prompt.

use std::{
    any::Any,
    ffi::{CStr, c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::{Mutex, PoisonError},
};

use crate::{
    abi::{LLMCallState, RKLLMResultLastHiddenLayer, RKLLMResultLogits, v1_2_0, v1_2_1},
    abort::{AbortHandle, Stop},
    run::{Mode, Perf, Piece, Rows},
};

/// What a run hears of its pieces.
pub(crate) type OnPiece<'a> = dyn FnMut(Piece<'_>) + Send + 'a;

/// What the userdata of a run points to. Shared, as nothing says on which thread the library calls back.
pub(crate) struct Listener<'a> {
    mode: Mode,
    stop: Stop,
    abort: &'a AbortHandle,
    heard: Mutex<(&'a mut OnPiece<'a>, Heard)>,
}

/// What the callbacks of a run have told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) tokens: Vec<i32>,
    pub(crate) perf: Option<Perf>,
    pub(crate) finished: bool,
    pub(crate) error: bool,
    /// The message of a panic in the caller's closure.
    pub(crate) panic: Option<String>,
}

/// The result of any generation.
struct Result {
    text: *const std::ffi::c_char,
    token_id: i32,
    hidden: RKLLMResultLastHiddenLayer,
    logits: RKLLMResultLogits,
    perf: Option<v1_2_1::RKLLMPerfStat>,
}

/// The callback of runtime 1.2.0.
pub(crate) unsafe extern "C" fn v1_2_0(
    result: *mut v1_2_0::RKLLMResult,
    userdata: *mut c_void,
    state: LLMCallState,
) {
    // SAFETY: NULL or a result that is valid during this call.
    let result = unsafe { result.as_ref() }.map(|result| Result {
        text: result.text,
        token_id: result.token_id,
        hidden: result.last_hidden_layer,
        logits: result.logits,
        perf: None,
    });
    // SAFETY: the library passes on the userdata and the result of its run.
    unsafe { hear(userdata, result, state) };
}

/// The callback of runtimes 1.2.1 to 1.3.0.
pub(crate) unsafe extern "C" fn v1_2_1(
    result: *mut v1_2_1::RKLLMResult,
    userdata: *mut c_void,
    state: LLMCallState,
) -> c_int {
    // SAFETY: NULL or a result that is valid during this call.
    let result = unsafe { result.as_ref() }.map(|result| Result {
        text: result.text,
        token_id: result.token_id,
        hidden: result.last_hidden_layer,
        logits: result.logits,
        perf: Some(result.perf),
    });
    // SAFETY: the library passes on the userdata and the result of its run.
    unsafe { hear(userdata, result, state) };
    0
}

/// # Safety
/// `userdata` must be NULL or the listener of a run that has not returned; the pointers in `result` must be NULL or
/// valid during the call.
unsafe fn hear(userdata: *mut c_void, result: Option<Result>, state: LLMCallState) {
    // SAFETY: the caller vouches for it.
    let Some(listener) = (unsafe { userdata.cast::<Listener<'_>>().as_ref() }) else {
        return;
    };
    // SAFETY: as above.
    unsafe { listener.hear(result, state) };
}

impl<'a> Listener<'a> {
    pub(crate) fn new(
        mode: Mode,
        stop: Stop,
        abort: &'a AbortHandle,
        on_piece: &'a mut OnPiece<'a>,
    ) -> Self {
        Self {
            mode,
            stop,
            abort,
            heard: Mutex::new((on_piece, Heard::default())),
        }
    }

    pub(crate) fn into_heard(self) -> Heard {
        self.heard
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .1
    }

    /// # Safety
    /// The run must not have returned; the pointers in `result` must be NULL or valid during the call.
    unsafe fn hear(&self, result: Option<Result>, state: LLMCallState) {
        let mut guard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (on_piece, heard) = &mut *guard;
        match (state, result) {
            (LLMCallState::NORMAL | LLMCallState::WAITING, Some(result)) => {
                let text = state == LLMCallState::NORMAL;
                // SAFETY: the caller vouches for the pointers.
                let piece = unsafe { result.piece(self.mode, text) };
                heard.tokens.extend(piece.token_id);
                // After a panic the run only has to end.
                if heard.panic.is_none()
                    && let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_piece(piece)))
                {
                    heard.panic = Some(message(panic.as_ref()));
                    // Its destructor may panic too, and would take the process with it.
                    std::mem::forget(panic);
                }
            }
            (LLMCallState::FINISH, result) => {
                heard.finished = true;
                heard.perf = result.and_then(|result| result.perf).map(Perf::from);
            }
            (LLMCallState::ERROR, _) => heard.error = true,
            _ => {}
        }
        let stop = heard.panic.is_some() || self.abort.is_aborted();
        drop(guard);
        // Asked for again at every token: one that came before the library looked may be lost.
        if stop && matches!(state, LLMCallState::NORMAL | LLMCallState::WAITING) {
            // SAFETY: the run has not returned, so the handle is alive.
            unsafe { self.stop.call() };
        }
    }
}

impl Result {
    /// # Safety
    /// The pointers must be NULL or valid during `'a`, `text` NUL-terminated, arrays of the stated lengths.
    unsafe fn piece<'a>(&self, mode: Mode, text: bool) -> Piece<'a> {
        let bytes = if text && mode != Mode::LastHiddenLayer && !self.text.is_null() {
            // SAFETY: not NULL, NUL-terminated and valid, says the caller.
            Some(unsafe { CStr::from_ptr(self.text) }.to_bytes())
        } else {
            None
        };
        let hidden = (mode == Mode::LastHiddenLayer).then(|| {
            // SAFETY: the caller vouches for pointer and lengths.
            unsafe {
                rows(
                    self.hidden.hidden_states,
                    self.hidden.num_tokens,
                    self.hidden.embd_size,
                )
            }
        });
        let logits = (mode == Mode::Logits).then(|| {
            // SAFETY: the caller vouches for pointer and lengths.
            unsafe {
                rows(
                    self.logits.logits,
                    self.logits.num_tokens,
                    self.logits.vocab_size,
                )
            }
        });
        Piece {
            bytes,
            // A negative id is no token; hidden states come without one.
            token_id: (mode != Mode::LastHiddenLayer && self.token_id >= 0)
                .then_some(self.token_id),
            hidden: hidden.flatten(),
            logits: logits.flatten(),
        }
    }
}

/// # Safety
/// `values` must be NULL or point at `rows` times `width` values that are valid during `'a`.
unsafe fn rows<'a>(values: *const f32, rows: c_int, width: c_int) -> Option<Rows<'a>> {
    let rows = usize::try_from(rows).ok()?;
    let width = usize::try_from(width).ok()?;
    let length = rows.checked_mul(width)?;
    if values.is_null() || length == 0 {
        return None;
    }
    // SAFETY: not NULL, and of that length, says the caller.
    let values = unsafe { slice::from_raw_parts(values, length) };
    Some(Rows { values, width })
}

fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "no message".to_owned(),
    }
}
