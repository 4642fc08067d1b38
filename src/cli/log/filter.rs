//! The flags that choose records.

use clap::Args;

use crate::promptlog::{Filter, When};

/// Which records are meant; all flags must fit.
#[derive(Debug, Args)]
pub(in crate::cli) struct Filters {
    /// Requests since then: how long ago (`90m`, `1d`) or a date (`2026-11-22`, `2026-11-22T18:30`).
    #[arg(long, value_name = "WHEN")]
    pub(in crate::cli) since: Option<When>,
    /// Requests before then.
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// What they were for: `chat`, `task/title_generation`, `task/*`.
    #[arg(long)]
    class: Option<String>,
    /// The model that answered; `*` stands for any characters.
    #[arg(long)]
    model: Option<String>,
    /// A label, e.g. `rag`.
    #[arg(long)]
    label: Option<String>,
    /// The conversation's id.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Only those that failed.
    #[arg(long)]
    failed: bool,
    /// Words in what the person said last or in the answer, not in system prompts, thinking or tool results; the last may
    /// be the beginning of one.
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
}

impl Filters {
    pub(in crate::cli) fn filter(&self) -> Filter {
        Filter {
            since: self.since.map(When::millis),
            until: self.until.map(When::millis),
            class: self.class.clone(),
            model: self.model.clone(),
            label: self.label.clone(),
            conversation: self.conversation.clone(),
            request: None,
            failed: self.failed.then_some(true),
            text: self.text.clone(),
        }
    }
}
