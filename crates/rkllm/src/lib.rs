//! Safe wrapper of librkllmrt.so, Rockchip's runtime for language models on the NPU of RK3588 and RK3576.
//!
//! Nothing is linked: [`Runtime::open`] loads the library at run time, after reading from the file which of the
//! three known interfaces ([`Abi`]) it has. [`Runtime::load`] makes a [`Model`], [`Model::run`] runs it, and
//! [`AbortHandle`] stops a run from another thread. [`log`] explains what the library prints.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use rkllm::{Input, ModelOptions, RunOptions, Runtime};
//!
//! let runtime = Runtime::open("/usr/lib/librkllmrt.so".as_ref(), None)?;
//! let mut model = runtime.load(&ModelOptions::new("qwen3-0.6b.rkllm", 4096, 512))?;
//! let mut answer = String::new();
//! let report = model.run(Input::Tokens(&[9707]), &RunOptions::default(), &mut |piece| {
//!     answer.extend(piece.text());
//! })?;
//! println!("{answer} ({} tokens)", report.tokens.len());
//! # Ok(())
//! # }
//! ```
//!
//! What the library forbids does not compile or is refused before it is called: two runs at once on a model, a model
//! that is destroyed while it runs, strings that die while the library reads them, a callback that unwinds.
//!
//! A second run needs the model for itself, so it cannot begin during the first:
//!
//! ```compile_fail,E0499
//! fn nested(model: &mut rkllm::Model, options: &rkllm::RunOptions<'_>) {
//!     let _ = model.run(rkllm::Input::Tokens(&[1]), options, &mut |_| {
//!         let _ = model.run(rkllm::Input::Tokens(&[2]), options, &mut |_| {});
//!     });
//! }
//! ```
//!
//! What a callback gets cannot be kept beyond the callback:
//!
//! ```compile_fail
//! fn keep<'a>(model: &mut rkllm::Model, options: &rkllm::RunOptions<'_>, kept: &mut Vec<&'a [u8]>) {
//!     let _ = model.run(rkllm::Input::Tokens(&[1]), options, &mut |piece| kept.extend(piece.bytes));
//! }
//! ```
//!
//! A model cannot be shared between threads:
//!
//! ```compile_fail,E0277
//! fn shared<T: Sync>() {}
//! shared::<rkllm::Model>();
//! ```

pub mod abi;
pub mod log;
pub mod version;

mod abort;
mod call;
mod callback;
mod capabilities;
mod init;
mod input;
mod model;
mod options;
mod run;
mod runtime;

pub use abi::{Abi, SymbolTable};
pub use abort::AbortHandle;
pub use capabilities::{Capabilities, Unsupported};
pub use input::{Images, Input, InputError, MultiModal, Role, Turn, Videos};
pub use model::{CallError, Model};
pub use options::{ImageTags, LoadError, ModelOptions, OptionError, Sampling};
pub use run::{Mode, Perf, Piece, Rows, RunError, RunOptions, RunReport};
pub use runtime::{OpenError, Runtime};
