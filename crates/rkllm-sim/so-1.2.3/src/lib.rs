//! The simulated librkllmrt.so of runtime 1.2.3.

rkllm_sim::export_v1_2_1!();
