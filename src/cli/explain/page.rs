//! An explanation as a page of text.

use std::fmt::{self, Write};

use super::{diff, ink, why};
use crate::{
    cli::paint::{Paint, harmless, line},
    engine::worker::PieceKind,
    explain::{Explanation, Prompt},
    policy::Origin,
};

/// What ends the path of a file inside the binary.
const SHIPPED: &str = " (shipped)";

/// The page. Nothing in it acts on a terminal but its own colours.
pub(super) fn page(explanation: &Explanation, paint: Paint, verbose: bool) -> String {
    let mut page = Page {
        text: String::new(),
        paint,
        verbose,
    };
    // Writing to a string cannot fail.
    let _ = page.write(explanation);
    page.text
}

/// A page being written.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) paint: Paint,
    pub(super) verbose: bool,
}

impl Page {
    fn write(&mut self, explanation: &Explanation) -> fmt::Result {
        self.summary(explanation)?;
        self.heading("Why")?;
        why::write(self, explanation)?;
        if explanation.decision.deny.is_some() {
            return writeln!(self.text, "\nIt is refused: no model reads it.");
        }
        self.heading("What is rewritten")?;
        diff::write(self, explanation)?;
        let id = line(&explanation.decision.model);
        self.heading(&format!("What {id} reads"))?;
        self.prompt(&explanation.prompt)?;
        self.heading("What it costs")?;
        self.tokens(explanation)?;
        self.reuse(explanation)
    }

    fn heading(&mut self, text: &str) -> fmt::Result {
        writeln!(self.text, "\n{}\n", self.paint.with(ink::STRONG, text))
    }

    /// A line of the table at the top; without a name it goes on with the one before.
    pub(super) fn row(&mut self, name: &str, value: &str) -> fmt::Result {
        let name = self.paint.with(ink::STRONG, &format!("{name:<12}"));
        writeln!(self.text, "{name}{value}")
    }

    fn prompt(&mut self, prompt: &Prompt) -> fmt::Result {
        if let Some(refused) = &prompt.refused {
            let refused = format!("The engine refuses it: {}", line(refused));
            writeln!(self.text, "{}\n", self.paint.with(ink::BAD, &refused))?;
        } else if !prompt.exact {
            writeln!(
                self.text,
                "{}\n",
                self.paint.with(
                    ink::FAINT,
                    "Shown as messages: the template that puts them together is not at hand."
                )
            )?;
        }
        let mut text = String::new();
        let mut any_lookalike = false;
        for piece in &prompt.pieces {
            let safe = harmless(&piece.text);
            match piece.kind {
                PieceKind::Text => text.push_str(&safe),
                // Line by line, so that the bar before the next is not coloured.
                PieceKind::Control => {
                    let lines = safe
                        .split('\n')
                        .map(|line| self.paint.with(ink::CONTROL, line));
                    text.push_str(&lines.collect::<Vec<_>>().join("\n"));
                }
                PieceKind::Lookalike => {
                    any_lookalike = true;
                    let first = safe.chars().next().map_or(0, char::len_utf8);
                    let (first, rest) = safe.split_at(first);
                    text.push_str(&format!("{first}\\{rest}"));
                }
            }
        }
        let bar = self.paint.with(ink::FAINT, "|");
        for line in text.split('\n') {
            writeln!(
                self.text,
                "{}",
                format!("{bar} {line}").trim_end_matches(' ')
            )?;
        }
        if any_lookalike {
            writeln!(
                self.text,
                "\nA `\\` behind the first character, as in `<\\|im_end|>`, marks text that is only spelt like a \
                 control token."
            )?;
        }
        Ok(())
    }
}

/// A rule's id and where it stands.
pub(super) fn rule(id: &str, origin: Option<&Origin>) -> String {
    let Some(Origin { file, line: number }) = origin else {
        return line(id);
    };
    match file.strip_suffix(SHIPPED) {
        Some(file) => format!("{} (shipped {}:{number})", line(id), line(file)),
        None => format!("{} ({}:{number})", line(id), line(file)),
    }
}
