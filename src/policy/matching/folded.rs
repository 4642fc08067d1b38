//! Comparing the ends of a text: a run of white space is one space, ASCII case does not matter.

/// A text to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folded(String);

impl Folded {
    pub(crate) fn new(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        Self(words.join(" ").to_ascii_lowercase())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` begins with it.
    pub(crate) fn starts(&self, text: &str) -> bool {
        begins(fold(text.chars()), self.0.chars())
    }

    /// Whether `text` ends with it.
    pub(crate) fn ends(&self, text: &str) -> bool {
        begins(fold(text.chars().rev()), self.0.chars().rev())
    }
}

fn begins(mut text: impl Iterator<Item = char>, mut start: impl Iterator<Item = char>) -> bool {
    start.all(|wanted| text.next() == Some(wanted))
}

/// Leading white space goes, every other run of it becomes a space.
fn fold(chars: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let mut chars = chars.skip_while(|char| char.is_whitespace()).peekable();
    std::iter::from_fn(move || {
        let char = chars.next()?;
        if !char.is_whitespace() {
            return Some(char.to_ascii_lowercase());
        }
        while chars.next_if(|char| char.is_whitespace()).is_some() {}
        Some(' ')
    })
}

#[cfg(test)]
mod tests {
    use super::Folded;

    #[test]
    fn white_space_and_case_make_no_difference() {
        let task = Folded::new("### Task:\nGenerate ");
        assert!(task.starts("\n ### TASK: \r\n generate a title"));
        assert!(!task.starts("### Task: Suggest") && !task.starts("### Task:"));
        let end = Folded::new("</chat_history>");
        assert!(end.ends("x\n</chat_history>\n\n") && !end.ends("</chat_history>."));
    }
}
