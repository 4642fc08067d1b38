//! `condense`: a task's long prompt becomes a short one.

mod parts;
mod template;

use self::{parts::Part, template::Template};
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

/// Tokens that a chat template puts around the messages of a task.
const FRAME: u32 = 64;
/// What stands where a part was cut.
const MARK: &str = "\n[...]\n";

const PART: &[Key] = &[
    Key::required("after", Kind::Text, "The text before the part."),
    Key::optional(
        "before",
        Kind::Text,
        "The text behind it, looked for from the end; default the message's end.",
    ),
];

pub(super) const DESCRIPTION: Description = Description {
    name: "condense",
    summary: "Replaces a known task prompt by a short one, with parts cut out of the original.",
    details: "`{name}` in the template stands for a part: `{chat_history}`, `{type}` and `{text}` (autocomplete), `{prompt}` and \
`{responses}` (several answers made one), `{tools}` (choice of tools), `{message}` (emoji), `{previous_summary}`, \
`{messages}` and `{recent_messages}` (compaction), `{memories}` and `{conversation}` (memory review), `{date}` \
(today's date), `{language}` (the line of the original that says which language to write in), or one of `parts`. \
Other braces are text. A line with `{name?}` is left out where the part is missing or empty; where any other part is \
missing the message stays as it is and the trace says why. Parts that are too long for the model's context lose \
their middle.",
    keys: &[
        Key::required("template", Kind::Text, "The short prompt."),
        Key::optional(
            "role",
            Kind::Choice(&["user", "system"]),
            "Which message is replaced: the last user message (default) or the system message that has the parts.",
        ),
        Key::optional(
            "parts",
            Kind::Map(&Kind::Table(PART)),
            "More parts, by the texts around them.",
        ),
        Key::optional(
            "known",
            Kind::Texts,
            "How the lines of the original instructions begin; with it, `{added?}` stands for all other lines: what an \
administrator added.",
        ),
        Key::optional(
            "max_tokens",
            Kind::Integer(16, 1_000_000),
            "Longest prompt; default what the model's context allows.",
        ),
    ],
    examples: &[
        Example {
            title: "a title for a small model",
            rule: r#"op = "condense"
template = '''
{chat_history}

Write a 2-4 word title for this chat, in its language. JSON only: {"title": "..."}'''"#,
            class: "task/title_generation",
            before: r####"{"messages": [{"role": "user", "content": "### Task:\nGenerate a concise title summarizing the chat history.\n### Output:\nJSON format: { \"title\": \"your concise title here\" }\n### Chat History:\n<chat_history>\nUSER: How do heat pumps work?\nASSISTANT: \n</chat_history>"}]}"####,
            after: r#"{"messages": [{"role": "user", "content": "USER: How do heat pumps work?\nASSISTANT:\n\nWrite a 2-4 word title for this chat, in its language. JSON only: {\"title\": \"...\"}"}]}"#,
        },
        Example {
            title: "a missing part leaves the prompt alone",
            rule: r#"op = "condense"
template = "{chat_history} Today is {date}.""#,
            class: "task/query_generation",
            before: r#"{"messages": [{"role": "user", "content": "Search for <chat_history>\nUSER: cats\n</chat_history>"}]}"#,
            after: r#"{"messages": [{"role": "user", "content": "Search for <chat_history>\nUSER: cats\n</chat_history>"}]}"#,
        },
        Example {
            title: "a template of one's own",
            rule: r#"op = "condense"
template = "Titel: {verlauf}"
parts = { verlauf = { after = "Verlauf:", before = "Ende" } }"#,
            class: "task/title_generation",
            before: r#"{"messages": [{"role": "user", "content": "Schreibe einen Titel. Verlauf: Hallo! Ende"}]}"#,
            after: r#"{"messages": [{"role": "user", "content": "Titel: Hallo!"}]}"#,
        },
    ],
    sets: Some("the prompt of a task"),
    compile,
};

#[derive(Debug)]
struct Condense {
    system: bool,
    template: Template,
    max_tokens: Option<u32>,
}

fn compile(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    let mut own: Vec<(String, Part)> = table
        .table("parts")
        .iter()
        .flat_map(Table::entries)
        .filter_map(|(name, _, value)| {
            let around = crate::policy::file::table::as_table(value)?;
            let after = around.text("after")?.to_owned();
            let before = around.text("before").map(str::to_owned);
            Some((name.to_owned(), Part::Between { after, before }))
        })
        .collect();
    if table.get("known").is_some() {
        let known = table.texts("known");
        let known = known.into_iter().map(|(start, _)| start.to_owned());
        own.push(("added".to_owned(), Part::Added(known.collect())));
    }
    match Template::parse(table.text("template")?, &own) {
        Ok(template) => Some(Box::new(Condense {
            system: table.text("role") == Some("system"),
            template,
            max_tokens: table
                .count("max_tokens")
                .and_then(|tokens| u32::try_from(tokens).ok()),
        })),
        Err(unknown) => {
            problems.push(
                Problem::error("P003", format!("there is no part `{{{unknown}}}`"))
                    .at(Some(table.place("template")), "")
                    .help(format!(
                        "known are: {}; others are declared in `parts`",
                        parts::names()
                    )),
            );
            None
        }
    }
}

impl Operation for Condense {
    fn apply(&self, request: &mut Rewriter<'_>, context: &Context<'_>) {
        let role = if self.system {
            Role::System
        } else {
            Role::User
        };
        let candidates: Vec<usize> = (0..request.len())
            .rev()
            .filter(|index| {
                request
                    .message(*index)
                    .is_some_and(|message| message.role == role)
            })
            .take(if self.system { usize::MAX } else { 1 })
            .collect();
        let mut missing = "message";
        for index in candidates {
            let text = request.text(index);
            if self.template.is_filled(&text) {
                request.leave("the prompt is condensed already");
                return;
            }
            match self.template.cut(&text) {
                Ok(parts) => {
                    let budget = self.budget(request, index, context);
                    let short = self.fill(parts, budget, context);
                    request.set_text(index, short, "task prompt condensed");
                    return;
                }
                Err(part) => missing = part,
            }
        }
        let missing = missing.to_owned();
        request.leave(format!("the prompt has no {missing}"));
    }
}

impl Condense {
    /// Tokens that the message may have.
    fn budget(&self, request: &Rewriter<'_>, index: usize, context: &Context<'_>) -> Option<u32> {
        let others = request
            .messages()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let others: u32 = others
            .map(|(_, message)| context.text_tokens(&message.content.text()))
            .sum();
        let room = context
            .prompt_tokens()
            .map(|tokens| tokens.saturating_sub(others + FRAME));
        match (self.max_tokens, room) {
            (Some(max), Some(room)) => Some(max.min(room)),
            (max, room) => max.or(room),
        }
    }

    /// The template with its parts; over the budget every part loses as much of its middle as its length warrants.
    fn fill(
        &self,
        mut parts: Vec<Option<String>>,
        budget: Option<u32>,
        context: &Context<'_>,
    ) -> String {
        let mut filled = self.template.fill(&parts);
        let Some(budget) = budget else {
            return filled;
        };
        // Estimates of shares do not add up exactly; a few rounds always do.
        for _ in 0..MAX_ROUNDS {
            let tokens = context.text_tokens(&filled);
            if tokens <= budget {
                break;
            }
            let of_parts: u32 = parts
                .iter()
                .flatten()
                .map(|part| context.text_tokens(part))
                .sum();
            let room = budget.saturating_sub(tokens.saturating_sub(of_parts));
            for part in parts.iter_mut().flatten() {
                let chars = part.chars().count();
                let share = chars as f64 * f64::from(room) / f64::from(of_parts.max(1));
                let max = (share * 0.95) as usize;
                if let Some(short) = prose::cut_middle(part, max.max(MARK.len()), MARK) {
                    *part = short;
                }
            }
            filled = self.template.fill(&parts);
        }
        filled
    }
}

const MAX_ROUNDS: usize = 8;

#[cfg(test)]
mod tests;
