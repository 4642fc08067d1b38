//! The sampling values: a profile by model, class and thinking; above it what the client asked for, within limits.

use std::{collections::HashMap, sync::Arc};

use super::{
    Change, Class, ModelFact, ModelSettings, Origin, Sampled, Set, Shift, Stage, StepOutcome,
    ValueOrigin,
    matching::Glob,
    record::{Detail, Recorder},
};
use crate::chat::{Request, Sampling};

/// `[profile.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profile {
    pub(super) name: Arc<str>,
    pub(super) origin: Origin,
    pub(super) thinking: Option<bool>,
    /// The profile that holds when thinking is switched the other way.
    pub(super) twin: Option<Arc<str>>,
    pub(super) sampling: Sampling,
}

/// One of the sampling values.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) get: fn(&Sampling) -> Option<f64>,
    pub(super) set: fn(&mut Sampling, Option<f64>),
}

macro_rules! field {
    ($name:ident, $type:ty) => {
        Field {
            name: stringify!($name),
            get: |sampling| sampling.$name.map(f64::from),
            set: |sampling, value| sampling.$name = value.map(|value| value as $type),
        }
    };
}

/// Every sampling value but the seed, which is no quantity.
pub(super) const FIELDS: [Field; 7] = [
    field!(temperature, f32),
    field!(top_p, f32),
    field!(top_k, i32),
    field!(min_p, f32),
    field!(repeat_penalty, f32),
    field!(frequency_penalty, f32),
    field!(presence_penalty, f32),
];

/// What becomes of a client's values, by name; what is not named is obeyed.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits(pub(super) HashMap<&'static str, Vec<Limit>>);

/// One limit, of all models or of those of a family.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    pub(super) kind: LimitKind,
    pub(super) family: Option<Glob>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum LimitKind {
    Obey,
    Ignore,
    Clamp(f64, f64),
}

impl Limit {
    pub(super) fn is_switch(&self) -> bool {
        !matches!(self.kind, LimitKind::Clamp(..))
    }

    fn is_for(&self, family: &str) -> bool {
        self.family.as_ref().is_none_or(|glob| glob.matches(family))
    }
}

impl Limits {
    /// What is left of a client's value; `None` where it is ignored.
    fn apply(&self, name: &str, value: f64, family: &str) -> Option<f64> {
        let limits = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        limits
            .iter()
            .filter(|limit| limit.is_for(family))
            .try_fold(value, |value, limit| match limit.kind {
                LimitKind::Obey => Some(value),
                LimitKind::Ignore => None,
                LimitKind::Clamp(least, most) => Some(value.clamp(least, most)),
            })
    }
}

/// What the stage decides.
#[derive(Debug, Clone, Default)]
pub(super) struct Choice {
    pub(super) profile: Option<Arc<str>>,
    pub(super) thinking: Option<bool>,
    pub(super) sampling: Sampling,
    pub(super) max_tokens: Option<u32>,
}

impl Choice {
    /// The client's own values.
    pub(super) fn of_client(request: &Request) -> Self {
        Self {
            profile: None,
            thinking: request.thinking,
            sampling: request.sampling,
            max_tokens: request.max_tokens,
        }
    }
}

/// What the stage looks at.
pub(super) struct Ask<'a> {
    pub(super) request: &'a Request,
    pub(super) class: Class,
    pub(super) model: Option<&'a ModelFact>,
    pub(super) settings: &'a ModelSettings,
    /// The person's own word on thinking, typed into the message.
    pub(super) typed: Option<bool>,
}

impl Set {
    /// The profile for a class, or its twin where thinking is to be otherwise.
    pub(super) fn profile(
        &self,
        settings: &ModelSettings,
        class: Class,
        thinking: Option<bool>,
    ) -> Option<&Profile> {
        let profiles = &self.policies.profiles;
        let profile = profiles.get(settings.profile.get(class)?)?;
        let other = thinking.is_some_and(|wanted| profile.thinking == Some(!wanted));
        let twin = profile.twin.as_ref().filter(|_| other);
        Some(twin.and_then(|twin| profiles.get(twin)).unwrap_or(profile))
    }

    pub(super) fn sample(&self, ask: &Ask<'_>, recorder: &mut Recorder) -> Choice {
        let none = Limits::default();
        let limits = self.policies.limits.get(ask.class).unwrap_or(&none);
        let family = ask.model.map_or("", |model| &model.family);
        let sent = ask.request.thinking.filter(|on| {
            limits
                .apply("thinking", f64::from(u8::from(*on)), family)
                .is_some()
        });
        let can = ask.model.is_none_or(|model| model.thinking);
        let wanted = if can { ask.typed.or(sent) } else { Some(false) };
        let profile = self.profile(ask.settings, ask.class, wanted);
        let mut sampling = profile.map(|profile| profile.sampling).unwrap_or_default();
        let mut values = Vec::with_capacity(FIELDS.len());
        for field in &FIELDS {
            let asked = (field.get)(&ask.request.sampling);
            let used = asked.and_then(|asked| limits.apply(field.name, asked, family));
            if used.is_some() {
                (field.set)(&mut sampling, used);
            }
            let narrow = |value: f64| value as f32;
            let value = (field.get)(&sampling).map(narrow);
            values.push(Sampled::new(
                field.name,
                value,
                asked.map(narrow),
                used.map(narrow),
            ));
        }
        sampling.seed = ask
            .request
            .sampling
            .seed
            .filter(|_| limits.apply("seed", 0.0, family).is_some());
        let max_tokens = max_tokens(ask, limits, family);
        let choice = Choice {
            profile: profile.map(|profile| profile.name.clone()),
            // A profile without a twin is of a model that does it one way only.
            thinking: can
                .then(|| profile.and_then(|profile| profile.thinking).or(wanted))
                .flatten(),
            sampling,
            max_tokens: max_tokens.value,
        };
        let origin = profile.map(|profile| profile.origin.clone());
        record(&choice, ask, origin, (values, max_tokens), recorder);
        choice
    }
}

/// The client's limit as far as it is obeyed, never above the policy's.
fn max_tokens(ask: &Ask<'_>, limits: &Limits, family: &str) -> Sampled<u32> {
    let asked = ask.request.max_tokens;
    let obeyed = asked.and_then(|asked| limits.apply("max_tokens", f64::from(asked), family));
    // Between 1 and what fits: the cast saturates.
    let obeyed = obeyed.map(|obeyed| obeyed.max(1.0) as u32);
    let cap = ask.settings.max_tokens.get(ask.class).copied();
    let (value, used) = match (obeyed, cap) {
        (Some(obeyed), Some(cap)) => (Some(obeyed.min(cap)), Some(obeyed.min(cap))),
        (obeyed, cap) => (obeyed.or(cap), obeyed),
    };
    Sampled::new("max_tokens", value, asked, used)
}

impl<T: PartialEq> Sampled<T> {
    /// `used` is what the limits left of the value that was asked for.
    fn new(name: &'static str, value: Option<T>, asked: Option<T>, used: Option<T>) -> Self {
        let origin = match (&value, &used) {
            (None, _) => ValueOrigin::Default,
            (Some(_), None) => ValueOrigin::Profile,
            (Some(_), Some(_)) if used == asked => ValueOrigin::Client,
            (Some(_), Some(_)) => ValueOrigin::Clamped,
        };
        Self {
            name: name.into(),
            value,
            asked,
            origin,
        }
    }
}

/// What became of a value that the client asked for and does not get.
fn change(value: &Sampled<f32>) -> Option<Change> {
    let asked = value.asked.filter(|_| value.value != value.asked)?;
    let what = match value.value {
        Some(used) => format!("the client's {asked} became {used}"),
        None => format!("the client's {asked} is ignored"),
    };
    Some(Change {
        place: value.name.to_string(),
        what,
        before: 0,
        after: 0,
        shift: Shift::None,
    })
}

fn record(
    choice: &Choice,
    ask: &Ask<'_>,
    origin: Option<Origin>,
    (values, max_tokens): (Vec<Sampled<f32>>, Sampled<u32>),
    recorder: &mut Recorder,
) {
    let by = choice.profile.clone().unwrap_or_else(|| "client".into());
    let cannot = ask.model.is_some_and(|model| !model.thinking);
    let thinking = match choice.thinking {
        Some(true) => "thinking on",
        Some(false) => "thinking off",
        None if cannot => "thinking off",
        None => "thinking as the model does",
    };
    let whose = match (ask.typed, ask.request.thinking) {
        _ if cannot => " (the model cannot)",
        (Some(_), _) => " (typed)",
        (None, Some(sent)) if choice.thinking == Some(sent) => " (asked for)",
        _ => "",
    };
    let what = format!("{thinking}{whose}");
    let mut step = |outcome| recorder.step(Stage::Sample, by.clone(), origin.clone(), outcome);
    step(StepOutcome::Matched { what });
    let changes: Vec<Change> = values.iter().filter_map(change).collect();
    if !changes.is_empty() {
        step(StepOutcome::Applied { changes });
    }
    if recorder.detail == Detail::Everything {
        let outcome = StepOutcome::Sampled { values, max_tokens };
        recorder.step(Stage::Sample, by, origin, outcome);
    }
}
