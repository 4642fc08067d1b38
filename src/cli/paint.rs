//! Colours for a terminal, and texts that cannot take hold of it.

use std::{
    borrow::Cow,
    env,
    ffi::OsString,
    fmt::Write,
    io::{self, IsTerminal},
};

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;

/// Writes in colours where somebody sees them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    /// Colours if stdout is a terminal and `NO_COLOR` does not forbid them.
    pub(super) fn for_stdout() -> Self {
        Self::chosen(ColorChoice::Auto)
    }

    /// Colours as the user chose; `auto` is [`Self::for_stdout`].
    pub(super) fn chosen(choice: ColorChoice) -> Self {
        let (no_color, is_terminal) = (env::var_os("NO_COLOR"), io::stdout().is_terminal());
        Self(colours(choice, no_color, is_terminal))
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    pub(super) fn colour(self, colour: AnsiColor, text: &str) -> String {
        self.with(Style::new().fg_color(Some(colour.into())), text)
    }

    /// `text`, which is harmless, in this style.
    pub(super) fn with(self, style: Style, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

fn colours(choice: ColorChoice, no_color: Option<OsString>, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => is_terminal && no_color.is_none_or(|value| value.is_empty()),
    }
}

/// A text that somebody sent, with the characters spelt out that a terminal obeys or hides: they could move the cursor,
/// change the window's title, or turn the direction of what follows. Line breaks and tabs stay.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    let stays = |c: char| matches!(c, '\n' | '\t') || !acts(c);
    if text.chars().all(stays) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if stays(c) {
            safe.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        }
    }
    safe.into()
}

/// The same on one line: line breaks and tabs are spelt out, too.
pub(super) fn line(text: &str) -> String {
    let text = text.replace('\n', "\\n").replace('\r', "\\r");
    harmless(&text.replace('\t', "\\t")).into_owned()
}

/// Whether a terminal obeys a character or hides it: controls, marks of writing direction, line separators, tags,
/// noncharacters. Joiners stay: emoji and some scripts need them.
pub(super) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            u32::from(c),
            0x061C
                | 0x200B
                | 0x200E..=0x200F
                | 0x2028..=0x202E
                | 0x2060..=0x206F
                | 0xFEFF
                | 0xFDD0..=0xFDEF
                | 0xFFF9..=0xFFFB
                | 0xE0000..=0xE007F
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_somebody_sent_cannot_take_hold_of_the_terminal() {
        assert_eq!(harmless("a\tb\nc"), "a\tb\nc");
        assert_eq!(harmless("\u{1b}]0;title\u{7}"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(harmless("\r\u{9b}2J\u{202e}x"), "\\u{d}\\u{9b}2J\\u{202e}x");
        assert_eq!(line("a\u{1b}[31m\nb\tc"), "a\\u{1b}[31m\\nb\\tc");
        let family = "\u{1f468}\u{200d}\u{1f469}";
        assert_eq!(line(family), family);
    }

    #[test]
    fn without_a_terminal_nothing_is_coloured() {
        assert_eq!(Paint(false).bold("x"), "x");
        assert_eq!(Paint(true).bold("x"), "\u{1b}[1mx\u{1b}[0m");
    }

    #[test]
    fn colours_are_for_terminals_unless_told_otherwise() {
        let set = || Some(OsString::from("1"));
        assert!(colours(ColorChoice::Auto, None, true));
        assert!(colours(ColorChoice::Auto, Some(OsString::new()), true));
        assert!(!colours(ColorChoice::Auto, set(), true));
        assert!(!colours(ColorChoice::Auto, None, false));
        assert!(colours(ColorChoice::Always, set(), false));
        assert!(!colours(ColorChoice::Never, None, true));
    }

    proptest! {
        #[test]
        fn nothing_that_acts_gets_through(text in "\\PC*|(?s).*") {
            prop_assert!(!line(&text).chars().any(acts));
            prop_assert!(!harmless(&text).chars().any(|c| !matches!(c, '\n' | '\t') && acts(c)));
        }
    }
}
