//! The environment variables that steer the simulation.

use std::{
    ffi::OsString,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    console::{Console, Streams},
    faults::{FaultError, Faults},
};

/// What the environment says at `rkllm_init`.
#[derive(Debug, Clone)]
pub(crate) struct Knobs {
    pub(crate) console: Console,
    /// How many times faster than a board; 0 takes no time at all.
    pub(crate) speed: f64,
    /// Lock file of the NPU.
    pub(crate) npu: PathBuf,
    /// Chip of the board.
    pub(crate) platform: String,
    pub(crate) faults: Faults,
}

impl Knobs {
    /// Reads the environment through `get`. What makes no sense is told on the console and left at its default.
    pub(crate) fn read(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| get(name).and_then(|value| value.into_string().ok());
        let mut complaints = Vec::new();
        let streams = match text("RKLLM_SIM_LOG").as_deref() {
            None | Some("both") => Streams::Both,
            Some("stderr") => Streams::Stderr,
            Some("stdout") => Streams::Stdout,
            Some("none") => Streams::None,
            Some(other) => {
                complaints.push(format!(
                    "RKLLM_SIM_LOG is both, stderr, stdout or none, not '{other}'"
                ));
                Streams::Both
            }
        };
        let level = text("RKLLM_LOG_LEVEL")
            .and_then(|level| level.trim().parse().ok())
            .unwrap_or(0);
        let speed =
            text("RKLLM_SIM_SPEED").map_or(1.0, |value| match value.trim().parse::<f64>() {
                Ok(speed) if speed.is_finite() && speed >= 0.0 => speed,
                _ => {
                    complaints.push(format!("RKLLM_SIM_SPEED is a number from 0, not '{value}'"));
                    1.0
                }
            });
        let (faults, errors) = Faults::parse_list(&text("RKLLM_SIM_FAULT").unwrap_or_default());
        complaints.extend(errors.iter().map(FaultError::to_string));
        let console = Console { streams, level };
        complaints
            .iter()
            .for_each(|complaint| console.warn(complaint));
        Self {
            console,
            speed,
            npu: get("RKLLM_SIM_NPU").map_or_else(default_npu, PathBuf::from),
            platform: text("RKLLM_SIM_PLATFORM").unwrap_or_else(|| "RK3588".to_owned()),
            faults,
        }
    }
}

/// One NPU per user, since users cannot open each other's files.
fn default_npu() -> PathBuf {
    let user = Path::new("/proc/self")
        .metadata()
        .map_or(0, |metadata| metadata.uid());
    std::env::temp_dir().join(format!("rkllm-sim-{user}.npu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knobs(pairs: &[(&str, &str)]) -> Knobs {
        Knobs::read(|name| {
            if name == "RKLLM_SIM_LOG" {
                return Some("none".into());
            }
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn an_empty_environment_is_a_real_time_rk3588() {
        let knobs = knobs(&[]);
        assert_eq!(
            (knobs.speed, knobs.platform.as_str(), knobs.console.level),
            (1.0, "RK3588", 0)
        );
        assert_eq!(knobs.faults, Faults::default());
        assert!(knobs.npu.starts_with(std::env::temp_dir()));
    }

    #[test]
    fn nonsense_is_left_at_its_default() {
        let read = knobs(&[
            ("RKLLM_SIM_SPEED", "fast"),
            ("RKLLM_LOG_LEVEL", "x"),
            ("RKLLM_SIM_FAULT", "hang=2,y"),
        ]);
        assert_eq!(
            (read.speed, read.console.level, read.faults.hang),
            (1.0, 0, Some(2))
        );
        assert_eq!(knobs(&[("RKLLM_SIM_SPEED", "-1")]).speed, 1.0);
        assert_eq!(knobs(&[("RKLLM_SIM_SPEED", "0")]).speed, 0.0);
    }
}
