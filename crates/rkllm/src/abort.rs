//! Stopping a run from another thread.

use std::{
    ffi::c_int,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::abi::LLMHandle;

/// Stops one run, from any thread, at any time: before it begins, while it reads the prompt, while it answers.
///
/// Once used it stays used: the library may lose an abort that comes too early, so the request is repeated at each
/// token, and a run that has not begun never enters the library. Make a new one for each run.
///
/// The library looks at the request between tokens only; reading the prompt is not interrupted. The run is over when
/// [`crate::Model::run`] returns.
#[derive(Debug, Clone, Default)]
pub struct AbortHandle(Arc<State>);

#[derive(Debug, Default)]
struct State {
    requested: AtomicBool,
    /// Set while a run is inside the library, so that no abort reaches an idle or a destroyed handle.
    running: Mutex<Option<Stop>>,
}

impl AbortHandle {
    /// A handle for one run.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to stop. Returns at once.
    pub fn abort(&self) {
        self.0.requested.store(true, Ordering::SeqCst);
        let running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = *running {
            // SAFETY: the slot is emptied, under this lock, before the run gives the handle back.
            unsafe { stop.call() };
        }
    }

    /// Whether the run was asked to stop.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Marks the run as inside the library until the guard is dropped; `None` if it was aborted before.
    pub(crate) fn enter(&self, stop: Stop) -> Option<Running<'_>> {
        let mut running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // `abort` sets the flag before it takes the lock, so it is seen here or finds the slot filled.
        if self.is_aborted() {
            return None;
        }
        *running = Some(stop);
        Some(Running(&self.0))
    }
}

/// A run inside the library.
pub(crate) struct Running<'a>(&'a State);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// `rkllm_abort` with the handle to call it on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    pub(crate) abort: unsafe extern "C" fn(LLMHandle) -> c_int,
    pub(crate) handle: LLMHandle,
}

// SAFETY: `rkllm_abort` may be called from any thread while a run is going on (official server demo).
unsafe impl Send for Stop {}
// SAFETY: as above; the value itself is never changed.
unsafe impl Sync for Stop {}

impl Stop {
    /// What it returns is of no use: the run ends or the next callback asks again.
    ///
    /// # Safety
    /// The handle must not be destroyed yet.
    pub(crate) unsafe fn call(self) {
        // SAFETY: the handle is alive, says the caller.
        unsafe { (self.abort)(self.handle) };
    }
}
