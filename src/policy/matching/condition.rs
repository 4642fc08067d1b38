//! Conditions on a request, compiled: `when` and `unless`.

use std::sync::Arc;

use super::{
    Folded, Glob, Phrases, Signals, framing,
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
        let request = signals.request;
        let differs = |wanted: Option<bool>, is: bool| wanted.is_some_and(|wanted| wanted != is);
        let last_role = || request.messages.last().map(|message| message.role);
        if differs(self.stream, request.stream) {
            return Some("stream");
        }
        if differs(self.tools, !request.tools.is_empty()) {
            return Some("tools");
        }
        if differs(self.images, signals.images) {
            return Some("images");
        }
        if self.last_role.is_some() && self.last_role != last_role() {
            return Some("last_role");
        }
        if !self.user_turns.has(signals.user_turns) {
            return Some("user_turns");
        }
        if !self.turns.has(signals.turns) {
            return Some("turns");
        }
        if self
            .max_tokens_up_to
            .is_some_and(|limit| request.max_tokens.is_none_or(|asked| asked > limit))
        {
            return Some("max_tokens_up_to");
        }
        if let Some(class) = signals.class
            && !self.classes.is_empty()
            && !self.classes.iter().any(|glob| glob.matches(class))
        {
            return Some("class");
        }
        if !self
            .labels
            .iter()
            .all(|label| signals.labels.contains(label))
        {
            return Some("labels");
        }
        if !self.any_label.is_empty()
            && !self
                .any_label
                .iter()
                .any(|label| signals.labels.contains(label))
        {
            return Some("any_label");
        }
        self.words_unmet(signals)
            .or_else(|| self.names_unmet(signals))
    }

    fn words_unmet(&self, signals: &Signals<'_>) -> Option<Unmet> {
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
        let text = framing::without_switches(&signals.last_user);
        if !any(&self.last_user.has, &|phrase| user.has(phrase)) {
            return Some("last_user_has");
        }
        if !any(&self.last_user.shows, &|phrase| user.shows(phrase)) {
            return Some("last_user_shows");
        }
        if !any(&self.last_user.behind, &|phrase| user.has_behind(phrase)) {
            return Some("last_user_behind");
        }
        if !block(&self.last_user.blocks, user) {
            return Some("last_user_block");
        }
        if self
            .introduces
            .is_some_and(|wanted| wanted != signals.introduces)
        {
            return Some("last_user_introduces");
        }
        if !any(&self.system.has, &|phrase| system.has(phrase)) {
            return Some("system_has");
        }
        if !any(&self.system.shows, &|phrase| system.shows(phrase)) {
            return Some("system_shows");
        }
        if !block(&self.system.blocks, system) {
            return Some("system_block");
        }
        if !self.starts.is_empty() && !self.starts.iter().any(|start| start.starts(text)) {
            return Some("last_user_starts");
        }
        if !self.ends.is_empty() && !self.ends.iter().any(|end| end.ends(text)) {
            return Some("last_user_ends");
        }
        None
    }

    fn names_unmet(&self, signals: &Signals<'_>) -> Option<Unmet> {
        let fits = |globs: &[Glob], name: &str| globs.iter().any(|glob| glob.matches(name));
        if !self.model.is_empty() {
            let id = signals.model.map(|model| model.id.as_ref());
            if !fits(&self.model, id.unwrap_or(&signals.request.model))
                && !fits(&self.model, &signals.request.model)
            {
                return Some("model");
            }
        }
        if !self.family.is_empty()
            && !fits(
                &self.family,
                signals.model.map_or("", |model| &model.family),
            )
        {
            return Some("family");
        }
        let sent = |(name, globs): &(String, Vec<Glob>)| {
            signals
                .headers
                .get(name)
                .is_some_and(|value| globs.is_empty() || fits(globs, value))
        };
        (!self.headers.iter().all(sent)).then_some("headers")
    }

    /// Says why a condition does not hold, for people.
    pub(crate) fn explain(&self, unmet: Unmet, signals: &Signals<'_>, phrases: &Phrases) -> String {
        let request = signals.request;
        let (user, system) = (&signals.user, &signals.system);
        match unmet {
            "stream" => format!("stream is {}", request.stream),
            "tools" if request.tools.is_empty() => "no tools are offered".to_owned(),
            "tools" => format!("{} tools are offered", request.tools.len()),
            "images" if signals.images => "there is an image".to_owned(),
            "images" => "there is no image".to_owned(),
            "last_role" => match request.messages.last() {
                Some(message) => format!("{} spoke last", message.role.as_str()),
                None => "there is no message".to_owned(),
            },
            "user_turns" => format!("there are {} user messages", signals.user_turns),
            "turns" => format!(
                "there are {} messages beside system messages",
                signals.turns
            ),
            "max_tokens_up_to" => match request.max_tokens {
                Some(limit) => format!("max_tokens is {limit}"),
                None => "there is no max_tokens".to_owned(),
            },
            "class" => format!(
                "the class is {}",
                signals.class.map_or("not known", |class| class.as_str())
            ),
            "labels" => {
                let missing = self
                    .labels
                    .iter()
                    .find(|label| !signals.labels.contains(label));
                format!("the label {} is not set", missing.map_or("", |label| label))
            }
            "any_label" => format!("none of the labels {} is set", self.any_label.join(", ")),
            "last_user_has" => missing(
                &self.last_user.has,
                "the last user message's own words",
                phrases,
                &|id| user.has(id),
            ),
            "last_user_shows" => missing(
                &self.last_user.shows,
                "the last user message",
                phrases,
                &|id| user.shows(id),
            ),
            "last_user_behind" => missing(
                &self.last_user.behind,
                "what stands behind the last block",
                phrases,
                &|id| user.has_behind(id),
            ),
            "last_user_introduces" if signals.introduces => {
                "the last user message introduces a quote".to_owned()
            }
            "last_user_introduces" => "the last user message introduces nothing".to_owned(),
            "system_has" => missing(
                &self.system.has,
                "the system messages' own words",
                phrases,
                &|id| system.has(id),
            ),
            "system_shows" => missing(&self.system.shows, "the system messages", phrases, &|id| {
                system.shows(id)
            }),
            "last_user_block" => format!(
                "the last user message has no {}",
                tags(&self.last_user.blocks, phrases)
            ),
            "system_block" => format!(
                "no system message has {}",
                tags(&self.system.blocks, phrases)
            ),
            "last_user_starts" => format!(
                "the last user message does not start with {}",
                any_of(&self.starts)
            ),
            "last_user_ends" => format!(
                "the last user message does not end with {}",
                any_of(&self.ends)
            ),
            "model" => format!(
                "the model is {}",
                signals
                    .model
                    .map_or(request.model.as_str(), |model| &model.id)
            ),
            "family" => match signals.model {
                Some(model) if !model.family.is_empty() => {
                    format!("the family is {}", model.family)
                }
                _ => "the family is not known".to_owned(),
            },
            "headers" => {
                let sent =
                    self.headers
                        .iter()
                        .find_map(|(name, globs)| match signals.headers.get(name) {
                            None => Some(format!("there is no header {name}")),
                            Some(value)
                                if !globs.is_empty()
                                    && !globs.iter().any(|glob| glob.matches(value)) =>
                            {
                                Some(format!("the header {name} has another value"))
                            }
                            Some(_) => None,
                        });
                sent.unwrap_or_default()
            }
            other => other.to_owned(),
        }
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

fn missing(
    groups: &[Vec<PhraseId>],
    place: &str,
    phrases: &Phrases,
    there: &dyn Fn(PhraseId) -> bool,
) -> String {
    let missing = |group: &Vec<PhraseId>| -> Vec<PhraseId> {
        group
            .iter()
            .copied()
            .filter(|phrase| !there(*phrase))
            .collect()
    };
    let nearest = groups
        .iter()
        .map(missing)
        .min_by_key(Vec::len)
        .unwrap_or_default();
    let texts: Vec<String> = nearest
        .iter()
        .map(|phrase| format!("`{}`", phrases.phrase_text(*phrase)))
        .collect();
    format!("not in {place}: {}", texts.join(", "))
}

fn tags(blocks: &[BlockId], phrases: &Phrases) -> String {
    let tags: Vec<String> = blocks
        .iter()
        .map(|block| format!("<{}>", phrases.tag(*block)))
        .collect();
    tags.join(" or ")
}

fn any_of(texts: &[Folded]) -> String {
    let texts: Vec<String> = texts
        .iter()
        .map(|text| format!("`{}`", text.as_str()))
        .collect();
    texts.join(" or ")
}
