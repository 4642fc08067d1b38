//! The keys of rule and policy files as data: one list serves the checker, the schema and the reference.

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether the table is refused without it.
    pub required: bool,
    /// What it means, in a sentence.
    pub doc: &'static str,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// Any number of groups of strings, as a list of lists.
    Groups,
    /// `true` or `false`.
    Bool,
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// A number from the first to the second; whole ones count too.
    Number(f64, f64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Class names and groups of them: `chat`, `task/*`.
    Classes,
    /// The name of one class.
    Class,
    /// A duration with its unit: `800ms`, `5s`, `2m`.
    Duration,
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table whose keys are the user's and whose values are of this kind.
    Map(&'static Kind),
    /// A list of tables with these keys.
    Tables(&'static [Key]),
    /// A word or a table: the short and the long form of the same.
    TextOr(&'static Kind),
    /// A list of rewrite rules: common keys, and those of the operation that `op` names.
    Rewrites,
    /// Anything, looked at elsewhere.
    Any,
}

impl Key {
    /// A key that may be left out.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            required: false,
            doc,
        }
    }

    /// A key that has to be there.
    #[must_use]
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            required: true,
            ..Self::optional(name, kind, doc)
        }
    }
}

impl Kind {
    /// What is expected, for messages: "a string".
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::Texts => "a list of strings".to_owned(),
            Self::Groups => "a list of lists of strings".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Integer(min, max) if min == max => min.to_string(),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Choice(words) => format!("one of \"{}\"", words.join("\", \"")),
            Self::Classes => "a list of classes such as \"chat\" or \"task/*\"".to_owned(),
            Self::Duration => "a duration with its unit such as \"5s\"".to_owned(),
            Self::Table(_) | Self::Map(_) => "a table".to_owned(),
            Self::Class => "a class such as \"chat\"".to_owned(),
            Self::Rewrites | Self::Tables(_) => "a list of tables".to_owned(),
            Self::TextOr(kind) => format!("a string or {}", kind.expected()),
            Self::Any => "a value".to_owned(),
        }
    }
}
