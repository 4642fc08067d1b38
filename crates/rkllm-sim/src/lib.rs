//! A librkllmrt look-alike: the C ABI of runtimes 1.2.0, 1.2.3 and 1.3.0 with the timing of RK3588 and RK3576 boards
//! and with knobs for the faults that real boards show.

mod family;
mod sampling;

pub use family::Family;
pub use sampling::Sampling;
