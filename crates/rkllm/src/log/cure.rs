//! What to do about a fault, in sentences for people.

use std::borrow::Cow;

use super::Fault;

impl Fault {
    /// What is wrong and what to do about it, in one or two sentences.
    #[must_use]
    pub fn cure(&self) -> Cow<'static, str> {
        match self {
            Self::DriverMissing => "The NPU cannot be opened. Load the rknpu driver, and give this user the right to \
                use /dev/dri/renderD129 or /dev/rknpu and /dev/dma_heap (groups video and render)."
                .into(),
            Self::DriverTooOld { wanted } => {
                format!("The NPU driver is old. Update the kernel to one with rknpu {wanted} or later, best 0.9.8.").into()
            }
            Self::WrongPlatform => {
                "The model was converted for another chip. Get the file for this board's chip.".into()
            }
            Self::UnknownPlatform { platform } => {
                format!("The runtime does not know this board ({platform}). It needs an RK3588, RK3576, RK3562 or RV1126B.")
                    .into()
            }
            Self::FileMissing { path, reason } => {
                format!("The model file {path} cannot be opened ({reason}). Check its path and its permissions.").into()
            }
            Self::NotAModel => {
                "The file is no rkllm model. A download may have saved an error page or a Git LFS pointer.".into()
            }
            Self::Truncated => "The model file ends too early or is damaged. Download it again.".into(),
            Self::RuntimeTooOld { needed } => {
                format!("The model needs a newer runtime. Replace librkllmrt.so by version {needed} or later.").into()
            }
            Self::ModelTooOld => {
                "The model was converted for an older runtime. Convert it again, or get a newer file.".into()
            }
            Self::UnsupportedArchitecture { name } => {
                format!("This runtime has no support for the architecture {name}. A newer librkllmrt.so may have it.").into()
            }
            Self::ContextAboveLimit { asked, limit } => {
                format!("A context of {asked} tokens was asked for, but the model was converted for {limit}. Ask for {limit} at most.")
                    .into()
            }
            Self::OutOfNpuMemory { .. } => "The NPU has no memory left for this. Unload another model, choose a smaller \
                one or a smaller context, or give big models different base_domain_id values (about 4 GB each)."
                .into(),
            Self::TooManyOpenFiles => {
                "Too many files are open. Raise the limit of open files (RLIMIT_NOFILE) to 10000 or more.".into()
            }
            Self::TooFewCpus => "Enable at least as many CPUs as the model uses NPU cores.".into(),
            Self::CpuMaskMismatch => "The CPU mask and the number of CPUs differ. Set one bit for each CPU.".into(),
            Self::CpuCountOutOfRange { asked } => {
                format!("This chip cannot enable {asked} CPUs. Name fewer CPUs in the mask.").into()
            }
            Self::NKeepTooLarge => "n_keep must be less than the context length. Lower it.".into(),
            Self::BatchOutOfRange { asked } => format!(
                "The runtime read a batch of {asked}. Most likely librkllmrt.so has another interface than it is called by."
            )
            .into(),
            Self::NegativeDomain => "base_domain_id must be 0 or more. Correct it.".into(),
            Self::PromptTooLong { tokens, max } => {
                format!("The prompt has {tokens} tokens and the context only {max}. Shorten the conversation.").into()
            }
            Self::ContextFull => {
                "The conversation does not fit into the context. Shorten it, or load the model with a larger context.".into()
            }
            Self::ContextShifted => {
                "The context was full, so the model has lost the oldest part of it. Shorten the conversation.".into()
            }
            Self::PromptCacheMissing => "There is no such prompt cache file. Save one first.".into(),
            Self::PromptCacheEmpty => "The prompt cache file is empty. Delete it and save it again.".into(),
            Self::PromptCacheOfAnotherModel => {
                "The prompt cache was saved by another model. Delete it and save it again.".into()
            }
            Self::PromptCacheUnsupported => {
                "This model cannot save its prompt cache. Leave the prompt cache off for it.".into()
            }
            Self::MultiModalMisuse { detail } => {
                format!("Text and images of the request do not fit together: {detail}").into()
            }
            Self::LoraLoaded { name } => format!("A LoRA adapter named {name} is loaded already. Use another name.").into(),
            Self::LoraFileMissing => "The LoRA adapter file does not exist. Check its path.".into(),
            Self::LoraUnknown { name } => format!("No LoRA adapter named {name} is loaded. Load it first.").into(),
            Self::InitFailed => "The runtime did not load the model and gave no reason. RKLLM_LOG_LEVEL=2 makes it say \
                more, prompts included."
                .into(),
            Self::Other { text } => format!("The runtime said: {text}").into(),
        }
    }
}
