//! The simulated librkllmrt.so of runtime 1.2.0.

rkllm_sim::export_v1_2_0!();
