//! The knobs that make the simulated board fail the way real ones do.

use thiserror::Error;

/// Faults that are switched on; see README.md for what each does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Faults {
    /// Megabytes that an NPU address domain holds.
    pub(crate) oom: Option<f64>,
    pub(crate) wrong_platform: bool,
    pub(crate) no_driver: bool,
    pub(crate) cold_load: bool,
    pub(crate) hang_load: bool,
    pub(crate) crash_load: bool,
    /// Tokens after which the run never goes on.
    pub(crate) hang: Option<u32>,
    /// Tokens after which the process dies.
    pub(crate) crash: Option<u32>,
    /// Tokens after which the run fails.
    pub(crate) error: Option<u32>,
    /// The end-of-sequence id was lost; 11 ends an answer instead.
    pub(crate) eos_lost: bool,
    pub(crate) no_finish_hidden: bool,
    /// Every how many tokens `text` is NULL.
    pub(crate) null_text: Option<u32>,
    /// Factor on decoding.
    pub(crate) slow_ddr: Option<f64>,
    /// Factor on all work once the chip is hot.
    pub(crate) thermal: Option<f64>,
    pub(crate) sticky_abort: bool,
    pub(crate) abort_poisons: Option<Poisoned>,
    pub(crate) abort_forgets: bool,
    pub(crate) deadlock: bool,
    /// A prompt that is too long ends with nothing at all.
    pub(crate) silent_overlong: bool,
    /// The model says its answer again and again.
    pub(crate) endless: bool,
    pub(crate) broken_json: bool,
    pub(crate) think_anyway: bool,
    pub(crate) repetition: bool,
    /// Nothing in the cache is used for the next prompt.
    pub(crate) no_reuse: bool,
    /// Prompt caches are not saved, as of a model with linear attention.
    pub(crate) no_prompt_cache: bool,
}

/// Runs that are refused after an abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poisoned {
    /// Those that go on with the history.
    History,
    All,
}

/// A fault setting that makes no sense.
#[derive(Debug, Error, PartialEq)]
pub(crate) enum FaultError {
    #[error("there is no fault named '{0}'")]
    Unknown(String),
    #[error("the fault '{name}' cannot take the value '{value}'")]
    Value { name: String, value: String },
}

/// Megabytes of one domain: the NPU addresses 4 GB.
const DOMAIN_MB: f64 = 4096.0;

impl Faults {
    /// Reads a comma list of `name` or `name=value`, as in `RKLLM_SIM_FAULT`.
    pub(crate) fn parse_list(list: &str) -> (Self, Vec<FaultError>) {
        let mut faults = Self::default();
        let entries = list
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let errors = entries
            .filter_map(|entry| {
                match entry.split_once('=') {
                    Some((name, value)) => faults.set(name.trim(), Some(value.trim())),
                    None => faults.set(entry, None),
                }
                .err()
            })
            .collect();
        (faults, errors)
    }

    /// Switches one fault on, or off with the value `false`. Without a value each takes its default.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), FaultError> {
        let switch = match value {
            None | Some("true") => Some(None),
            Some("false") => None,
            Some(value) => Some(Some(value)),
        };
        let wrong = || FaultError::Value {
            name: name.to_owned(),
            value: value.unwrap_or_default().to_owned(),
        };
        let flag = || match switch {
            Some(None) => Ok(true),
            None => Ok(false),
            Some(Some(_)) => Err(wrong()),
        };
        let count = |default: u32| match switch {
            Some(None) => Ok(Some(default)),
            None => Ok(None),
            Some(Some(value)) => value.parse().map(Some).map_err(|_| wrong()),
        };
        let factor = |default: f64| match switch {
            Some(None) => Ok(Some(default)),
            None => Ok(None),
            Some(Some(value)) => match value.parse::<f64>() {
                Ok(number) if number.is_finite() && number > 0.0 => Ok(Some(number)),
                _ => Err(wrong()),
            },
        };
        match name {
            "oom" => self.oom = factor(DOMAIN_MB)?,
            "wrong_platform" => self.wrong_platform = flag()?,
            "no_driver" => self.no_driver = flag()?,
            "cold_load" => self.cold_load = flag()?,
            "hang_load" => self.hang_load = flag()?,
            "crash_load" => self.crash_load = flag()?,
            "hang" => self.hang = count(0)?,
            "crash" => self.crash = count(0)?,
            "error" => self.error = count(0)?,
            "eos_lost" => self.eos_lost = flag()?,
            "no_finish_hidden" => self.no_finish_hidden = flag()?,
            "null_text" => self.null_text = count(5)?.map(|every| every.max(1)),
            "slow_ddr" => self.slow_ddr = factor(2.0)?,
            "thermal" => self.thermal = factor(1.6)?,
            "sticky_abort" => self.sticky_abort = flag()?,
            "abort_poisons" => {
                self.abort_poisons = match switch {
                    Some(None) => Some(Poisoned::History),
                    Some(Some("all")) => Some(Poisoned::All),
                    None => None,
                    Some(Some(_)) => return Err(wrong()),
                }
            }
            "abort_forgets" => self.abort_forgets = flag()?,
            "deadlock" => self.deadlock = flag()?,
            "silent_overlong" => self.silent_overlong = flag()?,
            "endless" => self.endless = flag()?,
            "broken_json" => self.broken_json = flag()?,
            "think_anyway" => self.think_anyway = flag()?,
            "repetition" => self.repetition = flag()?,
            "no_reuse" => self.no_reuse = flag()?,
            "no_prompt_cache" => self.no_prompt_cache = flag()?,
            _ => return Err(FaultError::Unknown(name.to_owned())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_takes_defaults_and_values() {
        let (faults, errors) =
            Faults::parse_list("hang=7, null_text,slow_ddr=1.5,oom,abort_poisons=all,");
        let expected = Faults {
            hang: Some(7),
            null_text: Some(5),
            slow_ddr: Some(1.5),
            oom: Some(4096.0),
            abort_poisons: Some(Poisoned::All),
            ..Faults::default()
        };
        assert_eq!((faults, errors), (expected, Vec::new()));
    }

    #[test]
    fn nonsense_is_told_and_the_rest_holds() {
        let (faults, errors) =
            Faults::parse_list("hnag,crash=soon,no_driver,thermal=-1,deadlock=3");
        assert_eq!(
            faults,
            Faults {
                no_driver: true,
                ..Faults::default()
            }
        );
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "there is no fault named 'hnag'",
                "the fault 'crash' cannot take the value 'soon'",
                "the fault 'thermal' cannot take the value '-1'",
                "the fault 'deadlock' cannot take the value '3'",
            ]
        );
    }

    #[test]
    fn a_model_file_can_switch_off_what_the_environment_switched_on() {
        let (mut faults, _) = Faults::parse_list("hang,eos_lost");
        faults.set("hang", Some("false")).unwrap();
        assert_eq!(
            faults,
            Faults {
                eos_lost: true,
                ..Faults::default()
            }
        );
    }
}
