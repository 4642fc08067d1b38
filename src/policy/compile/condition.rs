//! `when` and `unless`.

use std::sync::Arc;

use super::Compiler;
use crate::{
    policy::{
        file::table::Table,
        matching::{Condition, Folded, Glob, TurnSpan, Words},
        ops,
    },
    problem::{Problem, Span},
};

/// What may be asked for where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Neither class nor labels are known.
    Classify,
    /// The class is known.
    Label,
    /// Both are known.
    Later,
}

impl Compiler<'_> {
    /// The condition below a key; none asks for nothing.
    pub(super) fn condition(
        &mut self,
        table: &Table<'_>,
        key: &str,
        stage: Stage,
    ) -> Option<Condition> {
        let table = table.table(key)?;
        self.known_by_then(&table, stage);
        let spans = [
            ("min_user_turns", "max_user_turns"),
            ("min_turns", "max_turns"),
        ];
        let [user_turns, turns] = spans.map(|(min, max)| self.turns(&table, min, max));
        let last_user = Words {
            has: self.groups(&table, "last_user_has"),
            shows: self.groups(&table, "last_user_shows"),
            behind: self.groups(&table, "last_user_behind"),
            blocks: self.blocks(&table, "last_user_block"),
        };
        let system = Words {
            has: self.groups(&table, "system_has"),
            shows: self.groups(&table, "system_shows"),
            behind: Vec::new(),
            blocks: self.blocks(&table, "system_block"),
        };
        Some(Condition {
            stream: table.bool("stream"),
            tools: table.bool("tools"),
            images: table.bool("images"),
            upstream: table.bool("upstream"),
            last_role: table.text("last_role").and_then(ops::role_named),
            user_turns,
            turns,
            max_tokens_up_to: table
                .count("max_tokens_up_to")
                .and_then(|count| u32::try_from(count).ok()),
            last_user,
            introduces: table.bool("last_user_introduces"),
            starts: self.edges(&table, "last_user_starts"),
            ends: self.edges(&table, "last_user_ends"),
            system,
            model: self.globs(&table, "model"),
            family: self.globs(&table, "family"),
            headers: headers(&table),
            classes: table.classes("class"),
            labels: self.labels(&table, "labels"),
            any_label: self.labels(&table, "any_label"),
        })
    }

    fn known_by_then(&mut self, table: &Table<'_>, stage: Stage) {
        let too_early: &[&str] = match stage {
            Stage::Classify => &["class", "labels", "any_label"],
            Stage::Label => &["labels", "any_label"],
            Stage::Later => &[],
        };
        for key in too_early.iter().filter(|key| table.get(key).is_some()) {
            let problem = Problem::error("P020", format!("`{key}` is not known yet here"));
            self.error(
                problem
                    .at(Some(table.place(key)), "decided later")
                    .help("classes come first, then labels, then all other rules; ask for what the request holds"),
            );
        }
    }

    fn labels(&mut self, table: &Table<'_>, key: &str) -> Vec<Arc<str>> {
        let labels = table.texts(key);
        self.label_uses.extend(
            labels
                .iter()
                .map(|(label, span)| ((*label).to_owned(), span.clone())),
        );
        labels.into_iter().map(|(label, _)| label.into()).collect()
    }

    fn turns(&mut self, table: &Table<'_>, min: &str, max: &str) -> TurnSpan {
        let span = TurnSpan(
            table.count(min).unwrap_or(0),
            table.count(max).unwrap_or(usize::MAX),
        );
        if span.0 > span.1 {
            self.error(
                Problem::error("P013", "this can never hold")
                    .at(Some(table.place(min)), "at least")
                    .at(Some(table.place(max)), "at most")
                    .help("let the second be at least the first"),
            );
        }
        span
    }

    fn groups(&mut self, table: &Table<'_>, key: &str) -> Vec<Vec<u32>> {
        let groups = table.groups(key);
        if table.is_hollow(key) {
            self.error(
                Problem::error("P013", format!("`{key}` has an empty list"))
                    .at(Some(table.place(key)), "")
                    .help("name phrases in it, or leave it out"),
            );
        }
        let mut ids = Vec::with_capacity(groups.len());
        for group in groups {
            let mut group_ids = Vec::with_capacity(group.len());
            for (phrase, span) in group {
                if self.not_empty(phrase, span) {
                    group_ids.push(self.phrases.phrase(phrase));
                }
            }
            ids.push(group_ids);
        }
        ids
    }

    fn blocks(&mut self, table: &Table<'_>, key: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for (tag, span) in table.texts(key) {
            let is_name =
                |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '|');
            if tag.is_empty() || !tag.chars().all(is_name) {
                let problem = Problem::error("P003", "a tag's name is needed").at(Some(span), "");
                self.error(problem.help("without the brackets: \"chat_history\""));
            } else {
                ids.push(self.phrases.block(tag));
            }
        }
        ids
    }

    fn edges(&mut self, table: &Table<'_>, key: &str) -> Vec<Folded> {
        let mut edges = Vec::new();
        for (text, span) in table.texts(key) {
            if self.not_empty(text.trim(), span) {
                edges.push(Folded::new(text));
            }
        }
        edges
    }

    pub(super) fn globs(&mut self, table: &Table<'_>, key: &str) -> Vec<Glob> {
        let mut globs = Vec::new();
        for (glob, span) in table.texts(key) {
            if self.not_empty(glob, span) {
                globs.push(Glob::new(glob));
            }
        }
        globs
    }

    fn not_empty(&mut self, text: &str, span: Span) -> bool {
        if text.is_empty() {
            self.error(
                Problem::error("P003", "an empty text says nothing")
                    .at(Some(span), "")
                    .help("every message has it; leave it out"),
            );
        }
        !text.is_empty()
    }
}

fn headers(table: &Table<'_>) -> Vec<(String, Vec<Glob>)> {
    let Some(headers) = table.table("headers") else {
        return Vec::new();
    };
    let names = headers.entries().map(|(name, _, _)| name);
    names
        .map(|name| {
            let values = headers.texts(name);
            let globs = values.iter().map(|(glob, _)| Glob::new(glob));
            (name.to_ascii_lowercase(), globs.collect())
        })
        .collect()
}
