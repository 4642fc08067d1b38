//! The simulated librkllmrt.so of runtime 1.3.0.

rkllm_sim::export_v1_3_0!();
