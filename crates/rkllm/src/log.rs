//! What the library prints when something is wrong.
//!
//! Functions of the library return -1 and nothing more; the reason stands in the lines that it prints. The texts are
//! those of runtimes 1.2.0 to 1.3.0 and of the NPU driver library inside them.

mod cure;
mod lines;

/// What is wrong, as a line of the library tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The NPU device cannot be opened.
    DriverMissing,
    /// The NPU driver is old; a warning.
    DriverTooOld {
        /// Version that the runtime wants at least.
        wanted: String,
    },
    /// The model was converted for another chip.
    WrongPlatform,
    /// The board's chip is none that the runtime knows.
    UnknownPlatform {
        /// What the board calls itself.
        platform: String,
    },
    /// No such model file, or no right to read it.
    FileMissing {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The file is no rkllm model.
    NotAModel,
    /// The model file ends too early or is damaged.
    Truncated,
    /// The model was converted by a newer toolkit than the runtime can read.
    RuntimeTooOld {
        /// Version that the runtime must have at least.
        needed: String,
    },
    /// The model was converted by an older toolkit than the runtime can read.
    ModelTooOld,
    /// The runtime does not know the model's architecture.
    UnsupportedArchitecture {
        /// Name of the architecture.
        name: String,
    },
    /// More context was asked for than the model was converted for.
    ContextAboveLimit {
        /// Tokens asked for.
        asked: u32,
        /// Tokens that the model allows.
        limit: u32,
    },
    /// The NPU's memory does not suffice.
    OutOfNpuMemory {
        /// The allocation that failed, in bytes, if told.
        bytes: Option<u64>,
    },
    /// Too many files are open; each tensor needs one.
    TooManyOpenFiles,
    /// Fewer CPUs are enabled than the model uses NPU cores.
    TooFewCpus,
    /// The number of enabled CPUs is not that of the mask.
    CpuMaskMismatch,
    /// The chip does not have so many CPUs.
    CpuCountOutOfRange {
        /// CPUs asked for.
        asked: i32,
    },
    /// `n_keep` is not below the context length.
    NKeepTooLarge,
    /// The batch is out of range; also a sign of a wrong interface.
    BatchOutOfRange {
        /// Batch that the library read.
        asked: i32,
    },
    /// The IOMMU domain is negative.
    NegativeDomain,
    /// The prompt alone is longer than the context.
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: u32,
        /// Tokens in the context.
        max: u32,
    },
    /// The conversation and the prompt together are longer than the context.
    ContextFull,
    /// The context was full and the oldest part of it was dropped; a warning.
    ContextShifted,
    /// No such prompt cache file.
    PromptCacheMissing,
    /// The prompt cache file is empty.
    PromptCacheEmpty,
    /// The prompt cache was saved by another model.
    PromptCacheOfAnotherModel,
    /// This model cannot save its prompt cache; a warning.
    PromptCacheUnsupported,
    /// The text, the images and the counts of an input do not fit together.
    MultiModalMisuse {
        /// What the library said.
        detail: String,
    },
    /// A LoRA adapter of that name is loaded already.
    LoraLoaded {
        /// The name.
        name: String,
    },
    /// No such LoRA adapter file.
    LoraFileMissing,
    /// No LoRA adapter of that name is loaded.
    LoraUnknown {
        /// The name.
        name: String,
    },
    /// The model was not loaded; another line says why.
    InitFailed,
    /// An error line that is not known here.
    Other {
        /// The line without its mark.
        text: String,
    },
}

impl Fault {
    /// Whether the library goes on nevertheless.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(
            self,
            Self::DriverTooOld { .. } | Self::ContextShifted | Self::PromptCacheUnsupported
        )
    }

    /// How much the fault explains. Others than the cause follow from it: a missing file is no model either.
    fn weight(&self) -> u8 {
        match self {
            Self::InitFailed => 0,
            fault if fault.is_warning() => 1,
            Self::Other { .. } => 2,
            Self::NotAModel => 3,
            _ => 4,
        }
    }
}

/// What one line of the library tells, if it tells of a fault.
#[must_use]
pub fn classify(line: &str) -> Option<Fault> {
    lines::classify(line)
}

/// The fault among the lines of a failed call that explains it best; the first of several.
#[must_use]
pub fn diagnose<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Fault> {
    lines.into_iter().filter_map(classify).reduce(|best, next| {
        if next.weight() > best.weight() {
            next
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests;
