//! Rules that cost the model its prefix cache.

use super::Source;
use crate::{
    policy::{
        Class,
        set::{Label, Policies, Rule, Rules},
    },
    problem::Problem,
};

/// Conditions on what is another thing in the next turn: the last message and how many there are.
const OF_THE_TURN: [&str; 10] = [
    "last_user_has",
    "last_user_shows",
    "last_user_behind",
    "last_user_block",
    "last_user_introduces",
    "last_user_starts",
    "last_user_ends",
    "last_role",
    "turns",
    "user_turns",
];

/// Warns of rules by which what the model has read already can change from one turn of a chat to the next. Those that
/// ship are known to be worth it, as the comments beside them say. A task's prompt has no next turn.
pub(super) fn check(
    rules: &Rules,
    policies: &Policies,
    files: &[Source],
    problems: &mut Vec<Problem>,
) {
    let is_of_interest = |rule: &&Rule| {
        let ships = |file: &Source| file.is_shipped && file.path == rule.origin.file;
        let for_chats =
            rule.on.iter().any(|glob| glob.matches(Class::Chat)) && rule.when.may_be(Class::Chat);
        !rule.shadow && for_chats && !files.iter().any(ships)
    };
    for rewrite in &rules.rewrites {
        let rule = &rewrite.rule;
        if !is_of_interest(&rule) {
            continue;
        }
        if let Some(unstable) = rewrite.operation.unstable() {
            let why = format!(
                "`{}` can change what the model has already read: {}",
                rule.id, unstable.why
            );
            let problem = Problem::warning("P030", why).at(Some(rule.span.clone()), "");
            problems.push(problem.help(format!("it costs: {}", unstable.cost)));
        } else if let Some(turn) = Turn::of(rule, &rules.labels) {
            let why = format!(
                "`{}` can hold in one turn of a chat and not in the next",
                rule.id
            );
            problems.push(turn.problem(
                rule,
                why,
                "a turn in which it begins or ceases to hold reads everything again from the first message that it changes",
            ));
        }
    }
    for route in &policies.routes {
        let rule = &route.rule;
        if is_of_interest(&rule)
            && let Some(turn) = Turn::of(rule, &rules.labels)
        {
            let why = format!(
                "`{}` can send one turn of a chat to another model than the next",
                rule.id
            );
            problems.push(turn.problem(rule, why, "the other model has to read the whole chat"));
        }
    }
}

/// What a rule looks at of a turn.
struct Turn<'r> {
    key: &'static str,
    /// The rule by which a label looks at it.
    label: Option<&'r Label>,
}

impl<'r> Turn<'r> {
    fn of(rule: &Rule, labels: &'r [Label]) -> Option<Self> {
        if let Some(key) = key(rule) {
            return Some(Self { key, label: None });
        }
        let conditions = [Some(&rule.when), rule.unless.as_ref()];
        let asked = conditions
            .into_iter()
            .flatten()
            .flat_map(|condition| condition.labels.iter().chain(&condition.any_label));
        asked
            .flat_map(|asked| labels.iter().filter(move |label| label.label == *asked))
            .find_map(|label| {
                Some(Self {
                    key: key(&label.rule)?,
                    label: Some(label),
                })
            })
    }

    fn problem(&self, rule: &Rule, why: String, cost: &str) -> Problem {
        let key = self.key;
        let looks = format!("looks at `{key}`");
        let problem = Problem::warning("P030", why);
        let problem = match self.label {
            None => problem.at(Some(rule.span.clone()), looks),
            Some(Label { rule: by, label }) => problem
                .at(
                    Some(rule.span.clone()),
                    format!("asks for the label `{label}`"),
                )
                .at(Some(by.span.clone()), format!("which {looks}")),
        };
        problem
            .help(format!("it costs: {cost}"))
            .help("`rkgate explain` counts for a request how many tokens that are")
    }
}

/// The first condition of a rule on what is another thing in the next turn.
fn key(rule: &Rule) -> Option<&'static str> {
    let unless = rule.unless.iter().flat_map(|unless| unless.keys());
    rule.when
        .keys()
        .chain(unless)
        .find(|key| OF_THE_TURN.contains(key))
}
