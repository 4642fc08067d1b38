//! Stop strings: the answer ends where one of them is complete.

use super::pattern::open_end;

/// Cuts text at the first stop string, holding back what may be the beginning of one.
///
/// The string that is complete first wins, as if the text were looked at after every character; of two that end
/// together, the longer one.
#[derive(Debug)]
pub struct StopStrings {
    strings: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopStrings {
    /// Watches for `strings`; empty ones are ignored.
    #[must_use]
    pub fn new(mut strings: Vec<String>) -> Self {
        strings.retain(|string| !string.is_empty());
        Self {
            strings,
            held: String::new(),
            stopped: false,
        }
    }

    /// Takes the next text and returns what is certain to come before any stop string. After a stop string: nothing.
    #[must_use]
    pub fn push(&mut self, text: String) -> String {
        if self.stopped {
            return String::new();
        }
        if self.strings.is_empty() {
            return text;
        }
        let mut text = std::mem::take(&mut self.held) + &text;
        let found = self
            .strings
            .iter()
            .filter_map(|stop| text.find(stop.as_str()).map(|at| (at + stop.len(), at)));
        if let Some((_, at)) = found.min() {
            self.stopped = true;
            text.truncate(at);
        } else {
            self.held = text.split_off(open_end(&text, self.strings.iter().map(String::as_str)));
        }
        text
    }

    /// Returns what was held back: the text ends here, and so it was no stop string.
    #[must_use]
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Whether a stop string was met.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each piece lets out, then what the end lets out, joined by bars; and whether it stopped.
    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut stop = StopStrings::new(stops.iter().map(ToString::to_string).collect());
        let mut out: Vec<String> = Vec::new();
        for piece in pieces {
            out.push(stop.push((*piece).to_owned()));
        }
        out.push(stop.finish());
        (out.join("|"), stop.stopped())
    }

    #[test]
    fn cuts_inside_and_across_pieces() {
        assert_eq!(run(&["END"], &["one END two"]), ("one |".into(), true));
        assert_eq!(
            run(&["END"], &["one E", "N", "D two", "three"]),
            ("one ||||".into(), true)
        );
    }

    #[test]
    fn what_was_no_stop_string_comes_out_at_once() {
        assert_eq!(
            run(&["END"], &["E", "NE", "x", "EN"]),
            ("|EN|Ex||EN".into(), false)
        );
    }

    #[test]
    fn the_string_that_is_complete_first_wins() {
        assert_eq!(run(&["abcd", "bc"], &["xabcd"]).0, "xa|");
        assert_eq!(run(&["abc", "bc"], &["xabc"]).0, "x|");
    }

    #[test]
    fn nothing_to_stop_at_holds_nothing() {
        assert_eq!(run(&[], &["a", "b"]).0, "a|b|");
        assert_eq!(run(&[""], &["a", "b"]).0, "a|b|");
    }

    #[test]
    fn multi_byte_stop_strings() {
        assert_eq!(run(&["…。"], &["はい…", "。x"]), ("はい||".into(), true));
    }
}
