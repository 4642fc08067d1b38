//! Records in the forms that other programs read, one line each.

mod csv;
mod training;
mod turns;

use super::Record;
pub use turns::LastTurns;

/// A form of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Everything, one JSON object per line.
    Jsonl,
    /// OpenAI's format for fine-tuning chats, one conversation per line.
    OpenAi,
    /// ShareGPT's format, one conversation per line.
    ShareGpt,
    /// Metadata, as a table.
    Csv,
}

impl Format {
    /// Whether it is for training: of chats that ended well, each once.
    #[must_use]
    pub fn is_training(self) -> bool {
        matches!(self, Self::OpenAi | Self::ShareGpt)
    }

    /// The line before the first record.
    #[must_use]
    pub fn header(self) -> Option<String> {
        (self == Self::Csv).then(csv::header)
    }

    /// A record's line; `None` for one that has nothing to say in this form.
    #[must_use]
    pub fn line(self, id: i64, record: &Record) -> Option<String> {
        match self {
            Self::Jsonl => Some(record.to_json(id).to_string()),
            Self::OpenAi => training::openai(record).map(|value| value.to_string()),
            Self::ShareGpt => training::sharegpt(record).map(|value| value.to_string()),
            Self::Csv => Some(csv::line(id, record)),
        }
    }
}

#[cfg(test)]
mod tests;
