//! Safe wrapper of librkllmrt.so.
