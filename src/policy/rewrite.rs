//! Applying the rewrite rules, then what the model's settings say of tools and history.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    Rewriter, Set, Stage, StepOutcome,
    context::Context,
    matching::Signals,
    record::{self, Detail, Recorder},
    set::Rewrite,
    tools, trim,
};
use crate::chat::Request;

type Limit = fn(&mut Rewriter<'_>, &Context<'_>);

/// The limits of a model's settings, in the order in which they are kept, under the names of their keys. Tools once more
/// at the end: those that are too many and stayed only because they had been used go with the turns that used them.
const LIMITS: [(Stage, &str, Limit); 3] = [
    (Stage::Tools, "tools", tools::apply),
    (Stage::Trim, "history", trim::apply),
    (Stage::Tools, "tools", tools::apply),
];

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
                recorder.idle(Stage::Rewrite, rule, || {
                    rule.not_matched(unmet, signals, &self.phrases)
                });
                continue;
            }
            if !apply(rewrite, &mut rewriter, context, recorder) {
                return Rewritten::default();
            }
        }
        for (stage, name, limit) in LIMITS {
            if !stay_within(stage, name, limit, &mut rewriter, context, recorder) {
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
            recorder.idle(Stage::Rewrite, rule, || StepOutcome::Left { why: left });
        }
        Ok((changes, _)) if rule.shadow => {
            let what = format!("{} would have changed", plural(changes.len()));
            recorder.rule(Stage::Rewrite, rule, StepOutcome::Shadow { what, changes });
        }
        Ok((changes, _)) => recorder.rule(Stage::Rewrite, rule, StepOutcome::Applied { changes }),
    }
    true
}

/// `false` where it failed.
fn stay_within(
    stage: Stage,
    name: &str,
    limit: Limit,
    rewriter: &mut Rewriter<'_>,
    context: &Context<'_>,
    recorder: &mut Recorder,
) -> bool {
    let result = catch_unwind(AssertUnwindSafe(|| {
        limit(rewriter, context);
        rewriter.take_changes().0
    }));
    match result {
        Ok(changes) if changes.is_empty() => {
            if recorder.detail == Detail::Everything && !recorder.has(stage) {
                let why = Some("all of it is within the model's limits".to_owned());
                recorder.step(stage, name.into(), None, StepOutcome::Left { why });
            }
            true
        }
        Ok(changes) => {
            recorder.step(stage, name.into(), None, StepOutcome::Applied { changes });
            true
        }
        Err(panic) => {
            let why = format!("internal error: {}", record::message(&*panic));
            recorder.step(stage, name.into(), None, StepOutcome::Failed { why });
            false
        }
    }
}

fn plural(count: usize) -> String {
    match count {
        1 => "1 place".to_owned(),
        count => format!("{count} places"),
    }
}
