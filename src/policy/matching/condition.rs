//! Conditions on a request, compiled: `when` and `unless`.

use std::{ops::ControlFlow, sync::Arc};

use super::{
    Folded, Glob, Signals, framing,
    phrases::{BlockId, Found, PhraseId},
};
use crate::{
    chat::Role,
    policy::{Class, ClassGlob},
};

/// What must hold of a request. What is empty or `None` is not asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Condition {
    pub(crate) stream: Option<bool>,
    pub(crate) tools: Option<bool>,
    pub(crate) images: Option<bool>,
    pub(crate) upstream: Option<bool>,
    pub(crate) last_role: Option<Role>,
    pub(crate) user_turns: Span,
    pub(crate) turns: Span,
    pub(crate) max_tokens_up_to: Option<u32>,
    pub(crate) last_user: Words,
    pub(crate) introduces: Option<bool>,
    pub(crate) starts: Vec<Folded>,
    pub(crate) ends: Vec<Folded>,
    pub(crate) system: Words,
    pub(crate) model: Vec<Glob>,
    pub(crate) family: Vec<Glob>,
    pub(crate) headers: Vec<(String, Vec<Glob>)>,
    pub(crate) classes: Vec<ClassGlob>,
    pub(crate) labels: Vec<Arc<str>>,
    pub(crate) any_label: Vec<Arc<str>>,
}

/// From the first to the second, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) usize, pub(crate) usize);

impl Default for Span {
    fn default() -> Self {
        Self(0, usize::MAX)
    }
}

impl Span {
    fn has(self, value: usize) -> bool {
        (self.0..=self.1).contains(&value)
    }

    fn covers(self, other: Self) -> bool {
        self.0 <= other.0 && other.1 <= self.1
    }
}

/// What must stand in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) has: Vec<Vec<PhraseId>>,
    pub(crate) shows: Vec<Vec<PhraseId>>,
    pub(crate) behind: Vec<Vec<PhraseId>>,
    pub(crate) blocks: Vec<BlockId>,
}

/// The condition that does not hold, by its key.
pub(crate) type Unmet = &'static str;

impl Condition {
    /// The first condition that does not hold; cheap ones are looked at first.
    pub(crate) fn unmet(&self, signals: &Signals<'_>) -> Option<Unmet> {
        self.each_unmet(signals, ControlFlow::Break).break_value()
    }

    /// How many conditions do not hold.
    pub(crate) fn count_unmet(&self, signals: &Signals<'_>) -> usize {
        let mut count = 0;
        let _ = self.each_unmet(signals, |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        count
    }

    /// Goes through the conditions that do not hold, until `found` breaks off.
    fn each_unmet(
        &self,
        signals: &Signals<'_>,
        mut found: impl FnMut(Unmet) -> ControlFlow<Unmet>,
    ) -> ControlFlow<Unmet> {
        let request = signals.request;
        let differs = |wanted: Option<bool>, is: bool| wanted.is_some_and(|wanted| wanted != is);
        let last_role = || request.messages.last().map(|message| message.role);
        if differs(self.stream, request.stream) {
            found("stream")?;
        }
        if differs(self.tools, !request.tools.is_empty()) {
            found("tools")?;
        }
        if differs(self.images, signals.images) {
            found("images")?;
        }
        if differs(self.upstream, signals.upstream()) {
            found("upstream")?;
        }
        if self.last_role.is_some() && self.last_role != last_role() {
            found("last_role")?;
        }
        if !self.user_turns.has(signals.user_turns) {
            found("user_turns")?;
        }
        if !self.turns.has(signals.turns) {
            found("turns")?;
        }
        if self
            .max_tokens_up_to
            .is_some_and(|limit| request.max_tokens.is_none_or(|asked| asked > limit))
        {
            found("max_tokens_up_to")?;
        }
        if let Some(class) = signals.class
            && !self.classes.is_empty()
            && !self.classes.iter().any(|glob| glob.matches(class))
        {
            found("class")?;
        }
        if !self
            .labels
            .iter()
            .all(|label| signals.labels.contains(label))
        {
            found("labels")?;
        }
        if !self.any_label.is_empty()
            && !self
                .any_label
                .iter()
                .any(|label| signals.labels.contains(label))
        {
            found("any_label")?;
        }
        self.words_unmet(signals, &mut found)?;
        self.names_unmet(signals, &mut found)
    }

    fn words_unmet(
        &self,
        signals: &Signals<'_>,
        found: &mut impl FnMut(Unmet) -> ControlFlow<Unmet>,
    ) -> ControlFlow<Unmet> {
        let any = |groups: &[Vec<PhraseId>], there: &dyn Fn(PhraseId) -> bool| {
            groups.is_empty()
                || groups
                    .iter()
                    .any(|group| group.iter().all(|phrase| there(*phrase)))
        };
        let block = |blocks: &[BlockId], found: &Found| {
            blocks.is_empty() || blocks.iter().any(|block| found.has_block(*block))
        };
        let (user, system) = (&signals.user, &signals.system);
        if !any(&self.last_user.has, &|phrase| user.has(phrase)) {
            found("last_user_has")?;
        }
        if !any(&self.last_user.shows, &|phrase| user.shows(phrase)) {
            found("last_user_shows")?;
        }
        if !any(&self.last_user.behind, &|phrase| user.has_behind(phrase)) {
            found("last_user_behind")?;
        }
        if !block(&self.last_user.blocks, user) {
            found("last_user_block")?;
        }
        if self
            .introduces
            .is_some_and(|wanted| wanted != signals.introduces)
        {
            found("last_user_introduces")?;
        }
        if !any(&self.system.has, &|phrase| system.has(phrase)) {
            found("system_has")?;
        }
        if !any(&self.system.shows, &|phrase| system.shows(phrase)) {
            found("system_shows")?;
        }
        if !block(&self.system.blocks, system) {
            found("system_block")?;
        }
        if !self.starts.is_empty() || !self.ends.is_empty() {
            let text = framing::without_switches(&signals.last_user);
            if !self.starts.is_empty() && !self.starts.iter().any(|start| start.starts(text)) {
                found("last_user_starts")?;
            }
            if !self.ends.is_empty() && !self.ends.iter().any(|end| end.ends(text)) {
                found("last_user_ends")?;
            }
        }
        ControlFlow::Continue(())
    }

    fn names_unmet(
        &self,
        signals: &Signals<'_>,
        found: &mut impl FnMut(Unmet) -> ControlFlow<Unmet>,
    ) -> ControlFlow<Unmet> {
        let fits = |globs: &[Glob], name: &str| globs.iter().any(|glob| glob.matches(name));
        if !self.model.is_empty() {
            let id = signals.model.map(|model| model.id.as_ref());
            if !fits(&self.model, id.unwrap_or(&signals.request.model))
                && !fits(&self.model, &signals.request.model)
            {
                found("model")?;
            }
        }
        if !self.family.is_empty()
            && !fits(
                &self.family,
                signals.model.map_or("", |model| &model.family),
            )
        {
            found("family")?;
        }
        let sent = |(name, globs): &(String, Vec<Glob>)| {
            signals
                .headers
                .get(name)
                .is_some_and(|value| globs.is_empty() || fits(globs, value))
        };
        if !self.headers.iter().all(sent) {
            found("headers")?;
        }
        ControlFlow::Continue(())
    }

    /// Whether a request of this class can meet the condition.
    pub(crate) fn may_be(&self, class: Class) -> bool {
        self.classes.is_empty() || self.classes.iter().any(|glob| glob.matches(class))
    }

    /// The keys of the conditions that are asked for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Unmet> {
        let all = Span::default();
        [
            ("stream", self.stream.is_some()),
            ("tools", self.tools.is_some()),
            ("images", self.images.is_some()),
            ("upstream", self.upstream.is_some()),
            ("last_role", self.last_role.is_some()),
            ("user_turns", self.user_turns != all),
            ("turns", self.turns != all),
            ("max_tokens_up_to", self.max_tokens_up_to.is_some()),
            ("class", !self.classes.is_empty()),
            ("labels", !self.labels.is_empty()),
            ("any_label", !self.any_label.is_empty()),
            ("last_user_has", !self.last_user.has.is_empty()),
            ("last_user_shows", !self.last_user.shows.is_empty()),
            ("last_user_behind", !self.last_user.behind.is_empty()),
            ("last_user_block", !self.last_user.blocks.is_empty()),
            ("last_user_introduces", self.introduces.is_some()),
            ("system_has", !self.system.has.is_empty()),
            ("system_shows", !self.system.shows.is_empty()),
            ("system_block", !self.system.blocks.is_empty()),
            ("last_user_starts", !self.starts.is_empty()),
            ("last_user_ends", !self.ends.is_empty()),
            ("model", !self.model.is_empty()),
            ("family", !self.family.is_empty()),
            ("headers", !self.headers.is_empty()),
        ]
        .into_iter()
        .filter_map(|(key, asked)| asked.then_some(key))
    }

    /// Whether no request meets both, as far as that can be seen by looking: false does not mean no.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        let apart = |a: Span, b: Span| a.1 < b.0 || b.1 < a.0;
        let no_common = |a: &[Glob], b: &[Glob]| {
            let meet = |a: &Glob| b.iter().any(|b| a.common(b).is_some());
            !a.is_empty() && !b.is_empty() && !a.iter().any(meet)
        };
        let no_class = |a: &[ClassGlob], b: &[ClassGlob]| {
            let in_both = |class: &Class| {
                let within = |globs: &[ClassGlob]| globs.iter().any(|glob| glob.matches(*class));
                within(a) && within(b)
            };
            !a.is_empty() && !b.is_empty() && !Class::ALL.iter().any(in_both)
        };
        differ(&self.stream, &other.stream)
            || differ(&self.tools, &other.tools)
            || differ(&self.images, &other.images)
            || differ(&self.introduces, &other.introduces)
            || differ(&self.upstream, &other.upstream)
            || differ(&self.last_role, &other.last_role)
            || apart(self.user_turns, other.user_turns)
            || apart(self.turns, other.turns)
            || no_common(&self.model, &other.model)
            || no_common(&self.family, &other.family)
            || no_class(&self.classes, &other.classes)
    }

    /// Whether every request that meets `other` meets this one, as far as that can be seen by looking: false does not
    /// mean no.
    pub(crate) fn covers(&self, other: &Self, phrases: &dyn Fn(PhraseId) -> String) -> bool {
        fn same<T: PartialEq>(mine: &Option<T>, theirs: &Option<T>) -> bool {
            mine.is_none() || mine == theirs
        }
        // Each of the other's alternatives must meet one of mine.
        fn any<T>(mine: &[T], theirs: &[T], meets: &dyn Fn(&T, &T) -> bool) -> bool {
            mine.is_empty()
                || (!theirs.is_empty()
                    && theirs
                        .iter()
                        .all(|theirs| mine.iter().any(|mine| meets(mine, theirs))))
        }
        let group = |mine: &Vec<PhraseId>, theirs: &Vec<PhraseId>| {
            mine.iter().all(|mine| {
                let mine = phrases(*mine);
                theirs.iter().any(|theirs| phrases(*theirs).contains(&mine))
            })
        };
        let words = |mine: &Words, theirs: &Words| {
            any(&mine.has, &theirs.has, &group)
                && (any(&mine.shows, &theirs.shows, &group)
                    || any(&mine.shows, &theirs.has, &group))
                && any(&mine.behind, &theirs.behind, &group)
                && any(&mine.blocks, &theirs.blocks, &|mine, theirs| mine == theirs)
        };
        let glob = |mine: &Glob, theirs: &Glob| mine.covers(theirs);
        same(&self.stream, &other.stream)
            && same(&self.tools, &other.tools)
            && same(&self.images, &other.images)
            && same(&self.introduces, &other.introduces)
            && same(&self.upstream, &other.upstream)
            && same(&self.last_role, &other.last_role)
            && self.user_turns.covers(other.user_turns)
            && self.turns.covers(other.turns)
            && self
                .max_tokens_up_to
                .is_none_or(|mine| other.max_tokens_up_to.is_some_and(|theirs| theirs <= mine))
            && words(&self.last_user, &other.last_user)
            && words(&self.system, &other.system)
            && any(&self.starts, &other.starts, &|mine, theirs| {
                mine.starts(theirs.as_str())
            })
            && any(&self.ends, &other.ends, &|mine, theirs| {
                mine.ends(theirs.as_str())
            })
            && any(&self.model, &other.model, &glob)
            && any(&self.family, &other.family, &glob)
            && self.headers.iter().all(|(name, mine)| {
                other
                    .headers
                    .iter()
                    .any(|(other, theirs)| other == name && any(mine, theirs, &glob))
            })
            && any(&self.classes, &other.classes, &|mine, theirs| {
                mine.covers(*theirs)
            })
            && self.labels.iter().all(|label| other.labels.contains(label))
            && (any(&self.any_label, &other.any_label, &|mine, theirs| {
                mine == theirs
            }) || other
                .labels
                .iter()
                .any(|label| self.any_label.contains(label)))
    }
}

fn differ<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
    a.is_some() && b.is_some() && a != b
}
