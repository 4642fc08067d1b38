//! What the caller asks of a model at `rkllm_init`, and whether that can be had.

use std::path::PathBuf;

use thiserror::Error;

use crate::{Sampling, model_file::Header};

/// `max_context_len` and `max_new_tokens` of `rkllm_createDefaultParam`. What the real library has there is not
/// established; callers set both.
pub(crate) const DEFAULT_CONTEXT: i32 = 4096;
pub(crate) const DEFAULT_ANSWER: i32 = 512;

/// The fields of `RKLLMParam`, of whichever generation.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) model_path: PathBuf,
    /// Tokens of context; 0 and below is the model's limit.
    pub(crate) max_context_len: i32,
    /// Most tokens of an answer; 0 and below is no limit.
    pub(crate) max_new_tokens: i32,
    /// Tokens kept when the context overflows; -1 is the system part.
    pub(crate) n_keep: i32,
    pub(crate) sampling: Sampling,
    pub(crate) skip_special_token: bool,
    pub(crate) ignore_eos_token: bool,
    pub(crate) is_async: bool,
    pub(crate) base_domain_id: i32,
    pub(crate) enabled_cpus_num: i8,
    pub(crate) enabled_cpus_mask: u32,
    pub(crate) n_batch: u8,
}

/// A field that the runtime does not accept; the texts are those of the real library.
#[derive(Debug, Error, PartialEq)]
pub(crate) enum SettingsError {
    #[error("max_context[{asked}] must be less than the model's max_context_limit[{limit}]")]
    Context { asked: i32, limit: i32 },
    #[error("The n_keep must be less than the max_context_len")]
    Keep,
    #[error("The n_batch must be between 1 and 100, but got {0}")]
    Batch(u8),
    #[error("base_domain_id must >= 0")]
    Domain,
    #[error(
        "Expected The number of enabled CPUs between 1 and {most} for {platform}, but got {asked}."
    )]
    Cpus {
        most: u32,
        platform: String,
        asked: i8,
    },
    #[error("The number of enabled CPUs must be greater than or equal to the number of NPU cores.")]
    FewerCpusThanCores,
    #[error(
        "Mismatch between enabled CPUs mask and expected count. Please check the configuration."
    )]
    CpuMask,
}

impl Settings {
    /// Checks the fields against the board and the model.
    pub(crate) fn check(&self, platform: &str, model: &Header) -> Result<(), SettingsError> {
        if self.max_context_len > model.max_context {
            return Err(SettingsError::Context {
                asked: self.max_context_len,
                limit: model.max_context,
            });
        }
        if usize::try_from(self.n_keep).is_ok_and(|keep| keep >= self.context(model)) {
            return Err(SettingsError::Keep);
        }
        if !(1..=100).contains(&self.n_batch) {
            return Err(SettingsError::Batch(self.n_batch));
        }
        if self.base_domain_id < 0 {
            return Err(SettingsError::Domain);
        }
        let most = if platform == "RK3588" || platform == "RK3576" {
            8
        } else {
            4
        };
        let count = u32::try_from(self.enabled_cpus_num).unwrap_or(0);
        if !(1..=most).contains(&count) {
            return Err(SettingsError::Cpus {
                most,
                platform: platform.to_owned(),
                asked: self.enabled_cpus_num,
            });
        }
        if i32::from(self.enabled_cpus_num) < model.npu_core_num {
            return Err(SettingsError::FewerCpusThanCores);
        }
        if self.enabled_cpus_mask.count_ones() != count {
            return Err(SettingsError::CpuMask);
        }
        Ok(())
    }

    /// Tokens of context, prompt and answer together.
    pub(crate) fn context(&self, model: &Header) -> usize {
        let limit = if self.max_context_len > 0 {
            self.max_context_len
        } else {
            model.max_context
        };
        usize::try_from(limit).unwrap_or(0)
    }

    /// Most tokens of an answer, if there is a limit.
    pub(crate) fn answer_limit(max_new_tokens: i32) -> Option<u32> {
        u32::try_from(max_new_tokens)
            .ok()
            .filter(|&limit| limit > 0)
    }

    /// The numbers of the enabled CPUs.
    pub(crate) fn cpus(&self) -> Vec<u32> {
        (0..32)
            .filter(|cpu| self.enabled_cpus_mask >> cpu & 1 == 1)
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model_file::tests::SAMPLE;

    pub(crate) fn valid() -> Settings {
        Settings {
            model_path: PathBuf::new(),
            max_context_len: 4096,
            max_new_tokens: 512,
            n_keep: -1,
            sampling: Sampling::default(),
            skip_special_token: false,
            ignore_eos_token: false,
            is_async: false,
            base_domain_id: 0,
            enabled_cpus_num: 4,
            enabled_cpus_mask: 0xF0,
            n_batch: 1,
        }
    }

    #[test]
    fn each_wrong_field_has_its_own_message() {
        let model: Header = toml::from_str(SAMPLE).unwrap();
        let check = |change: fn(&mut Settings)| {
            let mut settings = valid();
            change(&mut settings);
            settings
                .check("RK3588", &model)
                .map_err(|error| error.to_string())
        };
        assert_eq!(check(|_| ()), Ok(()));
        assert_eq!(check(|s| s.max_context_len = 0), Ok(()));
        for (change, message) in [
            (
                (|s| s.max_context_len = 16384) as fn(&mut Settings),
                "max_context[16384] must be less than the model's max_context_limit[4096]",
            ),
            (
                |s| s.n_keep = 4096,
                "The n_keep must be less than the max_context_len",
            ),
            (
                |s| s.n_batch = 0,
                "The n_batch must be between 1 and 100, but got 0",
            ),
            (|s| s.base_domain_id = -1, "base_domain_id must >= 0"),
            (
                |s| s.enabled_cpus_num = 0,
                "Expected The number of enabled CPUs between 1 and 8 for RK3588, but got 0.",
            ),
            (
                |s| (s.enabled_cpus_num, s.enabled_cpus_mask) = (2, 3),
                "The number of enabled CPUs must be greater than or equal to the number of NPU cores.",
            ),
            (
                |s| s.enabled_cpus_mask = 0x70,
                "Mismatch between enabled CPUs mask and expected count. Please check the configuration.",
            ),
        ] {
            assert_eq!(check(change), Err(message.to_owned()));
        }
    }
}
