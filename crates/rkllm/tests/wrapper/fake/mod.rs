//! A runtime inside the test: plays a script and keeps a journal of what it was called with, by the model's path.

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rkllm::{
    Runtime,
    abi::{Abi, LLMCallState, LLMHandle},
};

mod generations;

/// What the callback is called with.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A token, with its text or with NULL.
    Token(Option<&'static CStr>, i32),
    /// A token whose character is incomplete.
    Waiting(i32),
    /// Rows of hidden states, their width, in 1.2.1 and later also logits.
    Rows(Vec<f32>, c_int),
    /// A call with NULL for the result.
    Null(LLMCallState),
    Finish,
    Error,
    /// Tokens until aborted.
    Endless,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) events: Vec<Event>,
    pub(crate) run_code: c_int,
    pub(crate) init_code: c_int,
    pub(crate) null_handle: bool,
    /// The first abort is lost.
    pub(crate) loses_abort: bool,
    /// After an abort every run fails.
    pub(crate) lost_after_abort: bool,
    /// The callback comes on a thread of the library.
    pub(crate) other_thread: bool,
}

/// One `rkllm_run` as the library saw it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) input_type: c_uint,
    pub(crate) role: Option<String>,
    pub(crate) enable_thinking: bool,
    pub(crate) text: String,
    pub(crate) ids: Vec<i32>,
    pub(crate) embed: Vec<f32>,
    pub(crate) images: (usize, usize, usize, usize),
    pub(crate) image_tags: Vec<String>,
    pub(crate) zeros_behind: bool,
    pub(crate) mode: c_uint,
    pub(crate) keep_history: c_int,
    pub(crate) lora: Option<String>,
    pub(crate) save: Option<String>,
    pub(crate) sampling: Option<[f32; 9]>,
    pub(crate) max_new_tokens: i32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pub(crate) calls: Vec<String>,
    pub(crate) runs: Vec<Seen>,
    pub(crate) returned: Vec<c_int>,
    /// The strings given to init, read again at destroy.
    pub(crate) strings_at_destroy: Vec<String>,
}

impl Journal {
    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|made| *made == call).count()
    }
}

static SCRIPTS: Mutex<BTreeMap<String, Script>> = Mutex::new(BTreeMap::new());
static JOURNALS: Mutex<BTreeMap<String, Journal>> = Mutex::new(BTreeMap::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A runtime of the generation.
pub(crate) fn runtime(abi: Abi) -> Runtime {
    // SAFETY: the functions of `generations` keep the contract of `from_symbols`.
    unsafe { Runtime::from_symbols(generations::symbols(abi)) }
}

/// Gives the model of this path its script.
pub(crate) fn script(path: &str, script: Script) {
    lock(&SCRIPTS).insert(path.to_owned(), script);
}

/// What the library was called with for the model of this path.
pub(crate) fn journal(path: &str) -> Journal {
    lock(&JOURNALS).get(path).cloned().unwrap_or_default()
}

/// What a handle points to.
struct Fake<C> {
    path: String,
    callback: C,
    strings: Vec<*const c_char>,
    aborted: AtomicBool,
    was_aborted: AtomicBool,
}

// SAFETY: the pointers are to strings that the wrapper keeps, and are only read.
unsafe impl<C> Sync for Fake<C> {}

impl<C> Fake<C> {
    fn new(callback: C, strings: &[*const c_char]) -> Self {
        Self {
            path: read(strings[0]).unwrap(),
            callback,
            strings: strings.to_vec(),
            aborted: AtomicBool::new(false),
            was_aborted: AtomicBool::new(false),
        }
    }

    fn script(&self) -> Script {
        lock(&SCRIPTS).get(&self.path).cloned().unwrap_or_default()
    }

    fn note(&self, write: impl FnOnce(&mut Journal)) {
        write(lock(&JOURNALS).entry(self.path.clone()).or_default());
    }

    fn called(&self, call: &str) -> c_int {
        self.note(|journal| journal.calls.push(call.to_owned()));
        0
    }

    fn abort(&self) -> c_int {
        let first = self.was_aborted.swap(true, Ordering::SeqCst);
        if first || !self.script().loses_abort {
            self.aborted.store(true, Ordering::SeqCst);
        }
        self.called("abort")
    }

    /// Plays the script. `call` makes one callback and tells what it returned.
    fn play(&self, call: &mut (dyn FnMut(&Reply) -> c_int + Send)) -> c_int {
        let script = self.script();
        if script.lost_after_abort && self.was_aborted.load(Ordering::SeqCst) {
            return -1;
        }
        self.aborted.store(false, Ordering::SeqCst);
        let mut tell = |reply: &Reply| {
            let returned = call(reply);
            self.note(|journal| journal.returned.push(returned));
        };
        'run: for event in &script.events {
            match event {
                Event::Token(text, id) => tell(&Reply::token(
                    text.map_or(std::ptr::null(), CStr::as_ptr),
                    *id,
                )),
                Event::Waiting(id) => {
                    tell(&Reply {
                        state: LLMCallState::WAITING,
                        ..Reply::token(c"\xe2".as_ptr(), *id)
                    });
                }
                Event::Rows(values, width) => {
                    tell(&Reply {
                        rows: (values.as_ptr(), *width, values.len() as c_int / width),
                        ..Reply::token(std::ptr::null(), 0)
                    });
                }
                Event::Null(state) => tell(&Reply {
                    null: true,
                    state: *state,
                    ..Reply::token(std::ptr::null(), 0)
                }),
                Event::Finish => tell(&Reply {
                    state: LLMCallState::FINISH,
                    ..Reply::token(std::ptr::null(), 0)
                }),
                Event::Error => tell(&Reply {
                    state: LLMCallState::ERROR,
                    ..Reply::token(std::ptr::null(), 0)
                }),
                Event::Endless => {
                    for id in 0..1_000_000 {
                        if self.aborted.load(Ordering::SeqCst) {
                            tell(&Reply {
                                state: LLMCallState::FINISH,
                                ..Reply::token(std::ptr::null(), 0)
                            });
                            break 'run;
                        }
                        tell(&Reply::token(c"x".as_ptr(), id));
                        std::thread::yield_now();
                    }
                    panic!("never aborted");
                }
            }
        }
        script.run_code
    }

    fn destroy(&self) {
        let strings = self
            .strings
            .iter()
            .map(|string| read(*string).unwrap())
            .collect();
        self.note(|journal| journal.strings_at_destroy = strings);
        self.called("destroy");
    }
}

/// One callback, before it takes the form of its generation.
#[derive(Clone, Copy)]
struct Reply {
    null: bool,
    state: LLMCallState,
    text: *const c_char,
    id: i32,
    /// Values, width, number.
    rows: (*const f32, c_int, c_int),
}

// SAFETY: the pointers are to statics and to the script, which outlive the run.
unsafe impl Send for Reply {}

impl Reply {
    fn token(text: *const c_char, id: i32) -> Self {
        Self {
            null: false,
            state: LLMCallState::NORMAL,
            text,
            id,
            rows: (std::ptr::null(), 0, 0),
        }
    }
}

fn read(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the wrapper gives NUL-terminated strings that live until they need not be read any more.
    Some(unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned())
}

fn copy<T: Copy>(values: *const T, length: usize) -> Vec<T> {
    if values.is_null() {
        return Vec::new();
    }
    // SAFETY: the wrapper gives arrays of the lengths that it states.
    unsafe { std::slice::from_raw_parts(values, length) }.to_vec()
}

/// Whether the struct is followed by zeros, up to 256 bytes.
fn zeros_behind<T>(value: *const T) -> bool {
    copy(
        value.cast::<u8>().wrapping_add(size_of::<T>()),
        256 - size_of::<T>(),
    )
    .iter()
    .all(|byte| *byte == 0)
}
