//! Writes the shipped simulated models, for any client of librkllmrt.
//!
//! `cargo run -p rkllm-sim --example install -- DIR`

use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os().nth(1).ok_or("usage: install DIR")?;
    rkllm_sim::shipped::install(Path::new(&dir))?;
    Ok(())
}
