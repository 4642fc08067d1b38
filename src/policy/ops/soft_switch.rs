//! `soft_switch`: `/think` and `/no_think`, typed by a person.

use super::{Description, Example, Operation};
use crate::{
    chat::Role,
    policy::{
        Rewriter,
        context::Context,
        file::{
            keys::{Key, Kind},
            table::Table,
        },
        prose::{self, SWITCHES},
    },
    problem::Problem,
};

pub(super) const DESCRIPTION: Description = Description {
    name: "soft_switch",
    summary: "Obeys and removes `/think` and `/no_think` in user messages.",
    details: "The last one in the conversation counts; `/nothink` is another spelling. A switch stands alone at the \
beginning or the end of a line; within a sentence, in code and in quoted documents it is part of the text. A message \
that is nothing but a switch keeps it. So does every message to an upstream whose `thinking` is not set: its server can \
be told by these words alone.",
    keys: &[Key::optional(
        "otherwise",
        Kind::Bool,
        "Whether the model thinks where nobody typed a switch; default what client and profile say.",
    )],
    examples: &[
        Example {
            title: "the switch goes, the question stays",
            rule: r#"op = "soft_switch""#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "user", "content": "/think What is 17 * 23?"},
  {"role": "assistant", "content": "391"},
  {"role": "user", "content": "And 18 * 23? /no_think"}]}"#,
            after: r#"{"messages": [
  {"role": "user", "content": "What is 17 * 23?"},
  {"role": "assistant", "content": "391"},
  {"role": "user", "content": "And 18 * 23?"}]}"#,
        },
        Example {
            title: "a question about the switch is no switch",
            rule: r#"op = "soft_switch""#,
            class: "chat",
            before: r#"{"messages": [{"role": "user", "content": "What does /no_think do in Qwen3?"}]}"#,
            after: r#"{"messages": [{"role": "user", "content": "What does /no_think do in Qwen3?"}]}"#,
        },
    ],
    sets: None,
    compile,
};

#[derive(Debug)]
struct SoftSwitch {
    otherwise: Option<bool>,
}

fn compile(table: &Table<'_>, _: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    Some(Box::new(SoftSwitch {
        otherwise: table.bool("otherwise"),
    }))
}

impl Operation for SoftSwitch {
    fn apply(&self, request: &mut Rewriter<'_>, context: &Context<'_>) {
        if context.model.is_some_and(|model| !model.switchable) {
            request.leave("these words are all that tells the model's server");
            return;
        }
        let mut last = None;
        request.edit_all(Role::User, "switch of thinking removed", |text| {
            if !SWITCHES.iter().any(|(switch, _)| text.contains(switch)) {
                return None;
            }
            let (rest, switch) = read(text)?;
            last = Some(switch);
            (!rest.is_empty()).then_some(rest)
        });
        // An earlier rule may have read and removed a switch.
        let typed = last.or(request.thinking());
        if let Some(thinking) = typed.or(self.otherwise) {
            request.set_thinking(thinking);
        }
    }
}

/// The text without its switches, and what the last of them asks for.
fn read(text: &str) -> Option<(String, bool)> {
    let quoted = prose::outer_block(text, "context").map(|block| block.whole);
    let mut rest = String::with_capacity(text.len());
    let mut last = None;
    let mut fenced = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced
            || line.starts_with('>')
            || quoted
                .as_ref()
                .is_some_and(|quoted| quoted.contains(&start))
        {
            rest.push_str(line);
            continue;
        }
        let mut words = line.trim_end_matches('\n');
        let end = line.get(words.len()..).unwrap_or_default();
        let mut found = None;
        while let Some((fewer, switch, behind)) = strip(words) {
            // What stands last counts; switches at the end are met from the last to the first.
            found = if behind {
                found.or(Some(switch))
            } else {
                Some(switch).filter(|_| found.is_none()).or(found)
            };
            words = fewer;
        }
        last = found.or(last);
        if found.is_none() || !words.is_empty() {
            rest.push_str(words);
            rest.push_str(end);
        }
    }
    Some((rest.trim_end().to_owned(), last?))
}

/// A line without one switch at its end or its beginning, what that asks for, and whether it stood at the end.
fn strip(line: &str) -> Option<(&str, bool, bool)> {
    let ended = SWITCHES.iter().find_map(|(switch, on)| {
        let rest = line.trim_end().strip_suffix(switch)?;
        (rest.is_empty() || rest.ends_with(char::is_whitespace)).then_some((
            rest.trim_end(),
            *on,
            true,
        ))
    });
    ended.or_else(|| {
        SWITCHES.iter().find_map(|(switch, on)| {
            let rest = line.trim_start().strip_prefix(switch)?;
            rest.starts_with(char::is_whitespace)
                .then_some((rest.trim_start(), *on, false))
        })
    })
}
