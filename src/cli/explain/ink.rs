//! The styles of the page.

use anstyle::{AnsiColor, Style};

/// Headings and names.
pub(super) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(super) const FAINT: Style = Style::new().dimmed();
/// What came to be, what held.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What is gone.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// What to look at.
pub(super) const NOTICE: Style = AnsiColor::Yellow.on_default();
/// Control tokens.
pub(super) const CONTROL: Style = AnsiColor::Magenta.on_default();
/// The words that are new within a line.
pub(super) const GOOD_WORDS: Style = GOOD.bold().underline();
/// The words that are gone within a line.
pub(super) const BAD_WORDS: Style = BAD.bold().underline();
