//! Safe wrapper of librkllmrt.so.

pub mod abi;
