//! Rules that cost the model its prefix cache.

use super::Source;
use crate::{policy::set::Rules, problem::Problem};

/// Warns of rules by which what the model has read already can change from one turn to the next. Those that ship are
/// known to be worth it, as the comments beside them say.
pub(super) fn check(rules: &Rules, files: &[Source], problems: &mut Vec<Problem>) {
    let ships = |path: &str| {
        files
            .iter()
            .any(|file| file.is_shipped && *file.path == *path)
    };
    let own = rules
        .rewrites
        .iter()
        .filter(|rewrite| !ships(&rewrite.rule.origin.file));
    for rewrite in own {
        if let Some(unstable) = rewrite.operation.unstable() {
            let id = &rewrite.rule.id;
            problems.push(
                Problem::warning(
                    "P030",
                    format!(
                        "`{id}` can change what the model has already read: {}",
                        unstable.why
                    ),
                )
                .at(Some(rewrite.rule.span.clone()), "")
                .help(format!("it costs: {}", unstable.cost)),
            );
        }
    }
}
