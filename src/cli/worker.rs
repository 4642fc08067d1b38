//! `rkgate worker`: the other side of the engine's process border. rkgate starts it; people have no use for it.

use std::process::ExitCode;

use super::Failure;
use crate::engine;

pub(super) fn run() -> Result<ExitCode, Failure> {
    Ok(engine::worker::main())
}
