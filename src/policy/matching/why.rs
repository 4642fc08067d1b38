//! Why a condition does not hold, in words.

use super::{
    Condition, Folded, Phrases, Signals,
    condition::Unmet,
    phrases::{BlockId, PhraseId},
};

impl Condition {
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
            "upstream" if signals.upstream() => "an upstream answers".to_owned(),
            "upstream" => "the embedded engine answers".to_owned(),
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
