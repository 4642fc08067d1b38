//! The simulated librkllmrt.so.
