//! A compiled set: everything that rule and policy files say, ready to decide.

use std::{collections::HashMap, sync::Arc};

use super::{
    AnswerRules, ByClass, Cache, Class, ClassGlob, Denial, JsonShape, ModelSettings, Origin, Queue,
    Redaction, Repetition, StepOutcome, Think,
    fallback::Fallback,
    matching::{Condition, Glob, PhraseId, Phrases, Signals},
    ops::{Description, Operation},
    sample::{Limits, Profile},
};
use crate::problem::Span;

/// Rules and policies, compiled; immutable.
#[derive(Debug)]
pub struct Set {
    pub(super) generation: u64,
    pub(super) phrases: Phrases,
    pub(super) rules: Rules,
    pub(super) policies: Policies,
    pub(super) redaction: Arc<Redaction>,
}

impl Set {
    pub(super) fn numbered(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// Which set this is: each one that takes effect has the next number. 0 for a set that has not.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What a log must not keep of requests and answers.
    #[must_use]
    pub fn redaction(&self) -> &Arc<Redaction> {
        &self.redaction
    }
}

/// What every rule has.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: Arc<str>,
    pub(super) origin: Origin,
    /// Where its id stands.
    pub(super) span: Span,
    pub(super) shadow: bool,
    pub(super) on: Vec<ClassGlob>,
    pub(super) when: Condition,
    pub(super) unless: Option<Condition>,
}

impl Rule {
    /// Why the rule does not hold, by the key that says so.
    pub(super) fn unmet(&self, signals: &Signals<'_>) -> Option<&'static str> {
        if let Some(class) = signals.class
            && !self.on.iter().any(|glob| glob.matches(class))
        {
            return Some("on");
        }
        self.when
            .unmet(signals)
            .or_else(|| self.is_excluded(signals).then_some("unless"))
    }

    /// Why the rule does not hold, in words, and by how little.
    pub(super) fn not_matched(
        &self,
        unmet: &'static str,
        signals: &Signals<'_>,
        phrases: &Phrases,
    ) -> StepOutcome {
        let why = match (unmet, &self.unless) {
            ("on", _) => format!(
                "it is not for {}",
                signals.class.map_or("this", Class::as_str)
            ),
            ("unless", Some(unless)) => format!(
                "its `unless` holds: {}",
                unless.keys().collect::<Vec<_>>().join(", ")
            ),
            _ => self.when.explain(unmet, signals, phrases),
        };
        let missed = self.when.count_unmet(signals) + usize::from(self.is_excluded(signals));
        let of = self.conditions();
        StepOutcome::NotMatched {
            why,
            held: of.saturating_sub(missed),
            of,
            near: unmet != "on" && missed == 1 && of > 1,
        }
    }

    /// How many conditions the rule has, its `unless` being one.
    pub(super) fn conditions(&self) -> usize {
        self.when.keys().count() + usize::from(self.unless.is_some())
    }

    fn is_excluded(&self, signals: &Signals<'_>) -> bool {
        self.unless
            .as_ref()
            .is_some_and(|unless| unless.unmet(signals).is_none())
    }

    /// How particular the rule is about a class; a conditional rule goes before one that always holds.
    pub(super) fn rank(&self, class: Class) -> (u8, bool) {
        let globs = self.on.iter().filter(|glob| glob.matches(class));
        let rank = globs.map(|glob| glob.rank()).max().unwrap_or(0);
        (rank, self.is_conditional())
    }

    pub(super) fn is_conditional(&self) -> bool {
        self.unless.is_some() || self.when != Condition::default()
    }
}

/// Everything from rule files.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) classify: Vec<Classify>,
    pub(super) labels: Vec<Label>,
    pub(super) rewrites: Vec<Rewrite>,
    pub(super) answers: Vec<Answer>,
    pub(super) denials: Vec<Deny>,
}

#[derive(Debug)]
pub(super) struct Classify {
    pub(super) rule: Rule,
    pub(super) by: ClassifyBy,
}

/// How a class is found.
#[derive(Debug)]
pub(super) enum ClassifyBy {
    /// The condition means this class.
    Condition(Class),
    /// The prompt asks for a JSON key: phrases and the class that they mean. They must not mean several.
    Keys(Vec<(PhraseId, Class)>),
    /// A header names it.
    Header {
        /// In lower case; the first one that is there counts.
        names: Vec<String>,
        /// Values beyond Open WebUI's own.
        values: HashMap<String, Class>,
    },
}

#[derive(Debug)]
pub(super) struct Label {
    pub(super) rule: Rule,
    pub(super) label: Arc<str>,
}

#[derive(Debug)]
pub(super) struct Rewrite {
    pub(super) rule: Rule,
    pub(super) op: &'static Description,
    pub(super) operation: Box<dyn Operation>,
    /// Ids of rules that go before.
    pub(super) after: Vec<(String, Span)>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) rule: Rule,
    pub(super) think: Option<Think>,
    pub(super) json: Option<JsonShape>,
    pub(super) repetition: Option<Repetition>,
    pub(super) stop: Option<Vec<String>>,
}

impl AnswerRules {
    /// What happens to an answer that no rule speaks of.
    pub(super) const NONE: Self = Self {
        think: None,
        json: None,
        repetition: None,
        stop: Vec::new(),
    };
}

#[derive(Debug)]
pub(super) struct Deny {
    pub(super) rule: Rule,
    pub(super) denial: Denial,
}

/// Everything from policy files.
#[derive(Debug, Default)]
pub(super) struct Policies {
    pub(super) routes: Vec<Route>,
    pub(super) models: Vec<Model>,
    pub(super) profiles: HashMap<Arc<str>, Profile>,
    /// What becomes of client values.
    pub(super) limits: ByClass<Limits>,
    pub(super) queues: ByClass<(Queue, Origin)>,
    pub(super) fallbacks: ByClass<Fallback>,
    pub(super) caches: ByClass<(Cache, Origin)>,
}

#[derive(Debug)]
pub(super) struct Route {
    pub(super) rule: Rule,
    pub(super) to: Vec<Glob>,
    /// The model where none of them is there; `None` for the requested one.
    pub(super) otherwise: Option<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) id: Arc<str>,
    pub(super) origin: Origin,
    pub(super) glob: Glob,
    pub(super) settings: ModelSettings,
}
