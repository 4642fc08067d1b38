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
        prose,
    },
    problem::Problem,
};

pub(super) const DESCRIPTION: Description = Description {
    name: "soft_switch",
    summary: "Obeys and removes `/think` and `/no_think` in user and system messages.",
    details: "The last one in the conversation counts, so that a preset's is the default and a person's goes before it. \
`/nothink` and `/no-think` are other spellings, and case does not matter. A switch stands alone at the beginning or the \
end of a line, with or without a full stop behind it; within a sentence, in code and in quoted documents it is part of \
the text. A user message that is nothing but a switch keeps it; such a system message goes. So does every message to an upstream whose `thinking` is not set: its server can \
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
            title: "a preset's switch holds until a person says otherwise",
            rule: r#"op = "soft_switch""#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "system", "content": "You are Bob. /No_think"},
  {"role": "user", "content": "What is 17 * 23?"}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "You are Bob."},
  {"role": "user", "content": "What is 17 * 23?"}]}"#,
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
        for index in (0..request.len()).rev() {
            let Some(role) = request.message(index).map(|message| message.role) else {
                continue;
            };
            if !matches!(role, Role::User | Role::System) {
                continue;
            }
            let mut said = None;
            let mut rest_is_empty = false;
            request.edit(index, "switch of thinking removed", |text| {
                let (rest, switch) = prose::without_switches(text)?;
                said = Some(switch);
                rest_is_empty = rest.is_empty();
                (!rest_is_empty).then_some(rest)
            });
            if role == Role::System && said.is_some() && rest_is_empty {
                request.remove(index, "nothing but a switch of thinking");
            }
            last = last.or(said);
        }
        // An earlier rule may have read and removed a switch.
        let typed = last.or(request.thinking());
        if let Some(thinking) = typed.or(self.otherwise) {
            request.set_thinking(thinking);
        }
    }
}
