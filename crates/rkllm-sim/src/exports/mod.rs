//! The C functions of the three generations, on raw pointers. What they promise to do with them is what the C header
//! says; every function here relies on the caller to keep to it.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    path::PathBuf,
    sync::Arc,
};

use rkllm::abi::{
    Abi, LLMHandle, RKLLMInferMode, RKLLMLoraAdapter, RKLLMLoraParam, RKLLMPromptCacheParam,
};

use crate::{
    Sampling, author,
    input::Input,
    knobs::Knobs,
    prompt_cache,
    run::{Mode, Request},
    session::{Clear, Failed, Session},
    settings::Settings,
    template::Tools,
};

mod callback;
mod fields;
mod inputs;
mod macros;
pub mod shared;
mod table;
pub mod v1_2_0;
pub mod v1_2_1;
pub mod v1_3_0;

use callback::{Callback, CallbackSink};
pub use table::symbols;

/// What an `LLMHandle` points to.
#[derive(Debug)]
struct Handle {
    session: Arc<Session>,
    callback: Callback,
    /// Texts around an image, where they are set at init.
    image_marks: (String, String),
}

/// The handle behind a pointer.
///
/// # Safety
/// `handle` is NULL or comes from `rkllm_init` and was not destroyed; it is not destroyed during `'a`.
unsafe fn open<'a>(handle: LLMHandle) -> Option<&'a Handle> {
    // SAFETY: the caller vouches for the pointer; `init` made it from a `Box<Handle>`, and a `Handle` is only shared.
    unsafe { handle.cast::<Handle>().as_ref() }
}

/// A C string as text; NULL is `None`. Bytes that are no UTF-8 are replaced.
///
/// # Safety
/// `text` is NULL or points to a string that ends with a NUL.
unsafe fn text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, so the caller vouches for a string with an end.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}

/// `count` values from `start`; NULL is empty.
///
/// # Safety
/// `start` is NULL or points to `count` values that nobody changes during the call.
unsafe fn values<T: Copy>(start: *const T, count: usize) -> Vec<T> {
    if start.is_null() {
        return Vec::new();
    }
    // SAFETY: not NULL, so the caller vouches for the values.
    let values = unsafe { std::slice::from_raw_parts(start, count) };
    values.to_vec()
}

/// The value behind a pointer; NULL is `None`.
///
/// # Safety
/// `value` is NULL or points to a `T`.
unsafe fn value<T: Copy>(value: *const T) -> Option<T> {
    // SAFETY: as the caller vouches.
    unsafe { value.as_ref() }.copied()
}

fn status(result: Result<(), Failed>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(Failed) => -1,
    }
}

fn environment() -> Knobs {
    Knobs::read(|name| std::env::var_os(name))
}

/// Loads a model and writes its handle.
///
/// # Safety
/// `handle` points to a place for a handle.
unsafe fn init(
    abi: Abi,
    handle: *mut LLMHandle,
    settings: Settings,
    callback: Callback,
    image_marks: (String, String),
) -> c_int {
    let knobs = environment();
    let Ok(session) = Session::load(abi, settings, &knobs, author::compose) else {
        return -1;
    };
    let opened = Box::new(Handle {
        session: Arc::new(session),
        callback,
        image_marks,
    });
    // SAFETY: the caller vouches for the place.
    unsafe { handle.write(Box::into_raw(opened).cast()) };
    0
}

/// The settings of a run, of whichever generation.
struct Infer {
    mode: RKLLMInferMode,
    lora: *const RKLLMLoraParam,
    cache: *const RKLLMPromptCacheParam,
    keep_history: c_int,
    sampling: Option<Sampling>,
    max_new_tokens: i32,
}

impl Infer {
    /// The request, its inputs left out; `None` for a mode that does not exist.
    ///
    /// # Safety
    /// The pointers are NULL or valid, with the strings they lead to.
    unsafe fn request(&self) -> Option<Request> {
        let mode = match self.mode {
            RKLLMInferMode::GENERATE => Mode::Generate,
            RKLLMInferMode::GET_LAST_HIDDEN_LAYER => Mode::HiddenLayer,
            RKLLMInferMode::GET_LOGITS => Mode::Logits,
            _ => return None,
        };
        // SAFETY: as the caller vouches.
        let lora = unsafe { value(self.lora) }.map(|lora| {
            // SAFETY: as the caller vouches.
            unsafe { text(lora.lora_adapter_name) }.unwrap_or_default()
        });
        // SAFETY: as the caller vouches.
        let cache = unsafe { value(self.cache) }.filter(|cache| cache.save_prompt_cache == 1);
        let save_cache = cache.map(|cache| {
            // SAFETY: as the caller vouches.
            let path = unsafe { text(cache.prompt_cache_path) };
            PathBuf::from(path.unwrap_or_else(|| prompt_cache::DEFAULT_PATH.to_owned()))
        });
        Some(Request {
            inputs: Vec::new(),
            mode,
            keep_history: self.keep_history == 1,
            sampling: self.sampling,
            max_new_tokens: self.max_new_tokens,
            lora,
            save_cache,
        })
    }
}

/// `rkllm_run` and, if `detached`, `rkllm_run_async`. `read` makes sense of one input.
///
/// # Safety
/// `handle` as for [`open`]; `input` is NULL or has one entry per row of a batch, each good for `read`; the pointers
/// in `infer` are NULL or valid.
unsafe fn run<I: Copy>(
    handle: LLMHandle,
    input: *const I,
    infer: Option<Infer>,
    userdata: *mut c_void,
    detached: bool,
    read: unsafe fn(&Handle, &I) -> Option<Input>,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    let Session {
        console, settings, ..
    } = &*handle.session;
    if input.is_null() {
        console.debug("rkllm_input is NULL");
        return -1;
    }
    let Some(infer) = infer else {
        console.debug("rkllm_infer_params is NULL");
        return -1;
    };
    // SAFETY: as the caller vouches.
    let inputs = unsafe { values(input, settings.n_batch.into()) };
    let inputs = inputs.iter().map(|input| {
        // SAFETY: as the caller vouches.
        unsafe { read(handle, input) }
    });
    // SAFETY: as the caller vouches.
    let request = unsafe { infer.request() };
    let request = request
        .zip(inputs.collect())
        .map(|(request, inputs)| Request { inputs, ..request });
    start(handle, request, userdata, detached || settings.is_async)
}

/// Runs on this thread, or on one of its own if `detached`.
fn start(
    handle: &Handle,
    request: Option<Request>,
    userdata: *mut c_void,
    detached: bool,
) -> c_int {
    let session = Arc::clone(&handle.session);
    let Some(request) = request else {
        session
            .console
            .error("rkllm_run failed: the input or the mode is not supported");
        return -1;
    };
    let mut sink = CallbackSink::new(handle.callback, userdata);
    if !detached {
        return status(session.run(&request, &mut sink));
    }
    // Runtime 1.2.0 accepts asynchronous runs and never calls back.
    if session.abi == Abi::V1_2_0 {
        return 0;
    }
    let thread = std::thread::Builder::new().name("rkllm-run".to_owned());
    let started = thread.spawn(move || {
        let _ = session.run(&request, &mut sink);
    });
    if started.is_ok() { 0 } else { -1 }
}

fn clear(session: &Session, keep_system_prompt: c_int, ranges: Option<&[(usize, usize)]>) -> c_int {
    let clear = if keep_system_prompt == 1 {
        Clear::KeepSystem
    } else {
        Clear::All
    };
    session.clear_kv_cache(clear, ranges);
    0
}

/// The paths and names of an adapter.
///
/// # Safety
/// The strings are valid.
unsafe fn adapter(adapter: RKLLMLoraAdapter) -> Option<(PathBuf, String)> {
    // SAFETY: as the caller vouches.
    let path = unsafe { text(adapter.lora_adapter_path) }?;
    // SAFETY: as the caller vouches.
    let name = unsafe { text(adapter.lora_adapter_name) }?;
    Some((path.into(), name))
}

fn tools(
    system: Option<String>,
    definitions: Option<String>,
    response_tag: Option<String>,
) -> Option<Tools> {
    Some(Tools {
        system: system?,
        definitions: definitions?,
        response_tag: response_tag?,
    })
}
