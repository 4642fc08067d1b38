//! The flags that lead to the configuration; every command knows them.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;

use super::{Failure, code};
use crate::config::{Inputs, Loaded};

/// Flags override the environment (`RKGATE_<SECTION>__<KEY>`), which overrides the file.
#[derive(Debug, Args)]
pub(super) struct Configuration {
    /// Configuration file [default: rkgate.toml in the current directory, where it exists].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// listen.api: where the API listens.
    #[arg(long, global = true, value_name = "ADDRESS")]
    api: Option<String>,
    /// listen.admin: where metrics, health and state are.
    #[arg(long, global = true, value_name = "ADDRESS")]
    admin: Option<String>,
    /// engine.library: auto, sim, or the path of a librkllmrt.so.
    #[arg(long, global = true, value_name = "LIBRARY")]
    library: Option<String>,
    /// engine.models_dir: where the models are.
    #[arg(long, global = true, value_name = "DIR")]
    models_dir: Option<String>,
    /// Any other key, e.g. `--set engine.queue_limit=8`; repeatable.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", value_parser = assignment)]
    set: Vec<Assignment>,
}

#[derive(Debug, Clone)]
struct Assignment {
    section: String,
    key: String,
    value: String,
}

fn assignment(text: &str) -> Result<Assignment, String> {
    let parts = text
        .split_once('=')
        .and_then(|(path, value)| Some((path.split_once('.')?, value)));
    let ((section, key), value) = parts.ok_or("expected SECTION.KEY=VALUE")?;
    Ok(Assignment {
        section: section.to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
    })
}

impl Configuration {
    /// File, environment and flags together.
    pub(super) fn inputs(&self) -> Inputs {
        let env = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut inputs = Inputs::new(self.config.clone(), env);
        for (flag, section, key, value) in [
            ("--api", "listen", "api", &self.api),
            ("--admin", "listen", "admin", &self.admin),
            ("--library", "engine", "library", &self.library),
            ("--models-dir", "engine", "models_dir", &self.models_dir),
        ] {
            if let Some(value) = value {
                inputs.flag(flag, section, key, value);
            }
        }
        for Assignment {
            section,
            key,
            value,
        } in &self.set
        {
            inputs.flag(&format!("--set {section}.{key}"), section, key, value);
        }
        inputs
    }

    /// The checked configuration; its warnings go to stderr.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        let loaded = self
            .inputs()
            .load()
            .map_err(|report| Failure::new(code::CONFIG, report.to_string()))?;
        if !loaded.warnings.problems.is_empty() {
            write!(io::stderr(), "{}", loaded.warnings)?;
        }
        Ok(loaded)
    }
}
