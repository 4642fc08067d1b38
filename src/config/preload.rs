//! The models to load at start: whether they are there.

use std::path::Path;

use super::{Library, file::At};
use crate::{
    engine::{catalog_of, usual_places},
    problem::{Problem, closest},
};

/// The names, each that no model below `models_dir` has reported.
pub(super) fn check(
    names: &[At<String>],
    models_dir: &Path,
    library: &Library,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    if names.is_empty() {
        return Vec::new();
    }
    let simulated = match library {
        Library::Sim => true,
        Library::Auto => !usual_places().iter().any(|path| path.is_file()),
        Library::Path(_) => false,
        Library::None => {
            for name in names {
                let problem = Problem::error("C011", format!("there is no model `{}`", name.value));
                let problem = problem.at(name.span.clone(), "");
                problems.push(problem.help("`engine.library` is `none`: only upstreams answer"));
            }
            return Vec::new();
        }
    };
    // Where the simulator's own models cannot be written, the start of the engine says so.
    if let Ok((catalog, _shipped)) = catalog_of(models_dir, simulated) {
        let models = catalog.models().iter();
        let known: Vec<&str> = models.map(|card| card.id.as_str()).collect();
        for name in names {
            if catalog.find(&name.value).is_none() {
                problems.push(unknown(name, &known, models_dir));
            }
        }
    }
    names.iter().map(|name| name.value.clone()).collect()
}

fn unknown(name: &At<String>, known: &[&str], models_dir: &Path) -> Problem {
    let problem = Problem::error("C011", format!("there is no model `{}`", name.value));
    let problem = problem.at(name.span.clone(), "");
    match closest(&name.value, known) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None if known.is_empty() => problem.help(format!(
            "there is no *.rkllm below {}",
            models_dir.display()
        )),
        None => problem.help(format!("known are: {}", known.join(", "))),
    }
}
