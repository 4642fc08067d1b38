//! Results as C structs, handed to the caller's function.

use std::{
    ffi::{CString, c_int, c_void},
    ptr,
};

use rkllm::abi::{
    LLMCallState, RKLLMResultLastHiddenLayer, RKLLMResultLogits, v1_2_0,
    v1_2_1::{self, RKLLMPerfStat},
};

use crate::{
    perf::Perf,
    run::{Matrix, Row, Sink, Verdict},
};

/// A result callback of the generation that it was given to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Callback {
    V1_2_0(unsafe extern "C" fn(*mut v1_2_0::RKLLMResult, *mut c_void, LLMCallState)),
    /// Runtimes from 1.2.1 on, with the userdata of runs that bring none.
    V1_2_1(
        unsafe extern "C" fn(*mut v1_2_1::RKLLMResult, *mut c_void, LLMCallState) -> c_int,
        *mut c_void,
    ),
}

/// Calls the callback for one run.
pub(super) struct CallbackSink {
    callback: Callback,
    userdata: *mut c_void,
}

// SAFETY: the pointer is never looked behind here. Who starts an asynchronous run has its callback called with the
// userdata on another thread, as the C interface says.
unsafe impl Send for CallbackSink {}

impl CallbackSink {
    pub(super) fn new(callback: Callback, userdata: *mut c_void) -> Self {
        let userdata = match callback {
            Callback::V1_2_1(_, default) if userdata.is_null() => default,
            _ => userdata,
        };
        Self { callback, userdata }
    }
}

impl Sink for CallbackSink {
    fn deliver(&mut self, state: LLMCallState, rows: &[Row<'_>], perf: Perf) -> Verdict {
        let texts: Vec<Option<CString>> = rows.iter().map(|row| row.text.map(c_text)).collect();
        let perf = RKLLMPerfStat {
            prefill_time_ms: perf.prefill_ms as f32,
            prefill_tokens: count(perf.prefill_tokens),
            generate_time_ms: perf.generate_ms as f32,
            generate_tokens: count(perf.generate_tokens),
            memory_usage_mb: perf.memory_mb,
        };
        let nothing = [Row::default()];
        let rows = if rows.is_empty() { &nothing } else { rows };
        let mut results: Vec<v1_2_1::RKLLMResult> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| {
                let text = texts.get(index).and_then(Option::as_ref);
                result(row, text.map_or(ptr::null(), |text| text.as_ptr()), perf)
            })
            .collect();
        match self.callback {
            Callback::V1_2_1(callback, _) => {
                // SAFETY: the function has this type, says who gave it to `rkllm_init`; results and texts live on
                // until it returns.
                let answer = unsafe { callback(results.as_mut_ptr(), self.userdata, state) };
                if answer == 1 {
                    Verdict::Pause
                } else {
                    Verdict::Continue
                }
            }
            Callback::V1_2_0(callback) => {
                let mut results: Vec<v1_2_0::RKLLMResult> =
                    results.iter().map(without_perf).collect();
                // SAFETY: as above.
                unsafe { callback(results.as_mut_ptr(), self.userdata, state) };
                Verdict::Continue
            }
        }
    }
}

/// C cannot hold a NUL inside a text.
fn c_text(bytes: &[u8]) -> CString {
    let bytes: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != 0).collect();
    CString::new(bytes).unwrap_or_default()
}

fn count(number: u32) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}

fn result(
    row: &Row<'_>,
    text: *const std::ffi::c_char,
    perf: RKLLMPerfStat,
) -> v1_2_1::RKLLMResult {
    let size = |matrix: Option<Matrix<'_>>| {
        let matrix = matrix.filter(|matrix| !matrix.values.is_empty() && matrix.width > 0);
        matrix.map_or((ptr::null(), 0, 0), |Matrix { values, width }| {
            (values.as_ptr(), int(width), int(values.len() / width))
        })
    };
    let (hidden_states, embd_size, hidden_tokens) = size(row.hidden);
    let (logits, vocab_size, logit_tokens) = size(row.logits);
    v1_2_1::RKLLMResult {
        text,
        token_id: row.token_id,
        last_hidden_layer: RKLLMResultLastHiddenLayer {
            hidden_states,
            embd_size,
            num_tokens: hidden_tokens,
        },
        logits: RKLLMResultLogits {
            logits,
            vocab_size,
            num_tokens: logit_tokens,
        },
        perf,
    }
}

fn int(number: usize) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}

fn without_perf(result: &v1_2_1::RKLLMResult) -> v1_2_0::RKLLMResult {
    v1_2_0::RKLLMResult {
        text: result.text,
        token_id: result.token_id,
        last_hidden_layer: result.last_hidden_layer,
        logits: result.logits,
    }
}
