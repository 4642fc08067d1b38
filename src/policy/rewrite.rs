//! Applying the rewrite rules, then what the model's settings say of tools and history.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    Rewriter, Set, Stage, StepOutcome,
    context::Context,
    matching::Signals,
    record::{self, Recorder},
    set::Rewrite,
};
use crate::chat::Request;

/// What the stages make of a request.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// `None` where nothing changed.
    pub(super) request: Option<Request>,
    /// The person's own word on thinking.
    pub(super) thinking: Option<bool>,
}

impl Set {
    /// A rule that fails undoes the work of all: a request that is half rewritten is worse than one that is not.
    pub(super) fn rewrite(
        &self,
        signals: &Signals<'_>,
        context: &Context<'_>,
        recorder: &mut Recorder,
    ) -> Rewritten {
        let mut rewriter = Rewriter::new(context.original);
        for rewrite in &self.rules.rewrites {
            let rule = &rewrite.rule;
            if let Some(unmet) = rule.unmet(signals) {
                recorder.unmet(Stage::Rewrite, rule, || {
                    rule.explain(unmet, signals, &self.phrases)
                });
                continue;
            }
            if !apply(rewrite, &mut rewriter, context, recorder) {
                return Rewritten::default();
            }
        }
        Rewritten {
            thinking: rewriter.thinking(),
            request: rewriter.finish(),
        }
    }
}

/// `false` where the rule failed.
fn apply(
    rewrite: &Rewrite,
    rewriter: &mut Rewriter<'_>,
    context: &Context<'_>,
    recorder: &mut Recorder,
) -> bool {
    let rule = &rewrite.rule;
    let mut fork = rule.shadow.then(|| rewriter.clone());
    let target = fork.as_mut().unwrap_or(rewriter);
    let result = catch_unwind(AssertUnwindSafe(|| {
        rewrite.operation.apply(target, context);
        target.take_changes()
    }));
    match result {
        Err(panic) => {
            let why = format!("internal error: {}", record::message(&*panic));
            recorder.rule(Stage::Rewrite, rule, StepOutcome::Failed { why });
            return rule.shadow;
        }
        Ok((changes, left)) if changes.is_empty() => {
            recorder.unmet(Stage::Rewrite, rule, || {
                left.unwrap_or_else(|| "there was nothing to do".to_owned())
            });
        }
        Ok((changes, _)) if rule.shadow => {
            let what = format!("{} would have changed", plural(changes.len()));
            recorder.rule(Stage::Rewrite, rule, StepOutcome::Shadow { what, changes });
        }
        Ok((changes, _)) => recorder.rule(Stage::Rewrite, rule, StepOutcome::Applied { changes }),
    }
    true
}

fn plural(count: usize) -> String {
    match count {
        1 => "1 place".to_owned(),
        count => format!("{count} places"),
    }
}
