//! Writing a trace while deciding.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{Origin, Stage, Step, StepOutcome, Trace, set::Rule};

/// How much a trace tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What rules did.
    Effects,
    /// Also why rules did not hold.
    Everything,
}

/// A trace being written.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) detail: Detail,
    trace: Trace,
}

impl Recorder {
    pub(super) fn new(detail: Detail) -> Self {
        Self {
            detail,
            trace: Trace::default(),
        }
    }

    /// The trace so far.
    pub(super) fn take(&mut self) -> Trace {
        std::mem::take(&mut self.trace)
    }

    /// Whether anything was said of this stage.
    pub(super) fn has(&self, stage: Stage) -> bool {
        self.trace.steps.iter().any(|step| step.stage == stage)
    }

    pub(super) fn rule(&mut self, stage: Stage, rule: &Rule, outcome: StepOutcome) {
        self.step(stage, rule.id.clone(), Some(rule.origin.clone()), outcome);
    }

    pub(super) fn step(
        &mut self,
        stage: Stage,
        rule: Arc<str>,
        origin: Option<Origin>,
        outcome: StepOutcome,
    ) {
        self.trace.steps.push(Step {
            stage,
            rule,
            origin,
            outcome,
        });
    }

    /// Writes down that a rule did not hold, or held and did nothing, if that is asked for.
    pub(super) fn idle(
        &mut self,
        stage: Stage,
        rule: &Rule,
        outcome: impl FnOnce() -> StepOutcome,
    ) {
        if self.detail == Detail::Everything {
            self.rule(stage, rule, outcome());
        }
    }

    /// Runs a stage. One that fails changes nothing: the request goes on without it, and the trace says so.
    pub(super) fn guard<T>(&mut self, stage: Stage, run: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(|| run(self)));
        result
            .map_err(|panic| {
                let why = format!("internal error: {}", message(&*panic));
                self.step(stage, "internal".into(), None, StepOutcome::Failed { why });
            })
            .ok()
    }
}

/// What a panic said.
pub(super) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}
