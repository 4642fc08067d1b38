//! Rules that cost the model its prefix cache.

use crate::{policy::set::Rules, problem::Problem};

/// Warns of rules by which what the model has read already can change from one turn to the next.
pub(super) fn check(rules: &Rules, problems: &mut Vec<Problem>) {
    for rewrite in &rules.rewrites {
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
