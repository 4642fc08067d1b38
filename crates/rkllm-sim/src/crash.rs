//! The ways in which the real library takes its process down.

use std::ffi::c_int;

// SAFETY: the signature is the C library's.
unsafe extern "C" {
    fn raise(signal: c_int) -> c_int;
}

const SIGSEGV: c_int = 11;

/// Dies of a segmentation fault.
pub(crate) fn segfault() -> ! {
    // A handler (Rust's own for stack overflows, for one) may put the default back and return: the second signal kills.
    for _ in 0..2 {
        // SAFETY: `raise` is the C library's and takes any signal number.
        unsafe { raise(SIGSEGV) };
    }
    std::process::abort()
}
