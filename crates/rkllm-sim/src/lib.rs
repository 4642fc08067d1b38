//! A librkllmrt look-alike: the C ABI of runtimes 1.2.0, 1.2.3 and 1.3.0 with the timing of RK3588 and RK3576 boards
//! and with knobs for the faults that real boards show. README.md describes its use.

mod author;
mod console;
mod crash;
mod domains;
#[doc(hidden)]
pub mod exports;
mod family;
mod faults;
mod features;
mod input;
mod knobs;
mod kv;
mod load;
mod model_file;
mod npu;
mod perf;
mod pieces;
mod prompt_cache;
mod run;
mod sampling;
mod script;
mod session;
mod settings;
pub mod shipped;
mod template;
mod timing;
mod version;
mod vocabulary;

pub use family::Family;
#[doc(hidden)]
pub use rkllm::abi;
pub use sampling::Sampling;

use rkllm::abi::Abi;

/// What the model says to a prompt.
type Composer = fn(&author::Prompt<'_>) -> String;

/// The simulated runtime, in this process. The default of those who ask for a simulator is [`Abi::V1_2_1`], which
/// stands for runtime 1.2.3: the one most boards run.
pub fn runtime(abi: Abi) -> rkllm::Runtime {
    // SAFETY: the functions are written to the same C header as those of the real library; what `from_symbols` asks
    // for beyond it holds too: results live until the callback returns, no pointer is kept after a call but the
    // callbacks and their userdata, and every function may be called from any thread.
    unsafe { rkllm::Runtime::from_symbols(exports::symbols(abi)) }
}
