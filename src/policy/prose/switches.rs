//! `/think` and `/no_think`, typed by a person: alone at the beginning or the end of a line, outside of code and quoted
//! documents.

use super::outer_block;

/// The switches of thinking that people type, and whether they ask for it.
pub(crate) const SWITCHES: [(&str, bool); 4] = [
    ("/think", true),
    ("/no_think", false),
    ("/nothink", false),
    ("/no-think", false),
];

/// The text without its switches, and what the last of them asks for; `None` where there is none.
pub(crate) fn without_switches(text: &str) -> Option<(String, bool)> {
    if !text.contains('/') {
        return None;
    }
    let quoted = outer_block(text, "context").map(|block| block.whole);
    let mut rest = String::with_capacity(text.len());
    let mut last = None;
    let mut fenced = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced
            || line.starts_with('>')
            || quoted
                .as_ref()
                .is_some_and(|quoted| quoted.contains(&start))
        {
            rest.push_str(line);
            continue;
        }
        let mut words = line.trim_end_matches('\n');
        let end = line.get(words.len()..).unwrap_or_default();
        let mut found = None;
        while let Some((fewer, switch, behind)) = strip(words) {
            // What stands last counts; switches at the end are met from the last to the first.
            found = if behind {
                found.or(Some(switch))
            } else {
                Some(switch).filter(|_| found.is_none()).or(found)
            };
            words = fewer;
        }
        // The switch may have stood before a fence.
        if found.is_some() && words.starts_with("```") {
            fenced = true;
        }
        last = found.or(last);
        if found.is_none() || !words.is_empty() {
            rest.push_str(words);
            rest.push_str(end);
        }
    }
    Some((rest.trim_end().to_owned(), last?))
}

/// A line without one switch at its end or its beginning, what that asks for, and whether it stood at the end.
fn strip(line: &str) -> Option<(&str, bool, bool)> {
    let words = line.trim_end().trim_end_matches(['.', '!', ',', ';']);
    let ended = SWITCHES.iter().find_map(|(switch, on)| {
        let (rest, last) = words.split_at_checked(words.len().checked_sub(switch.len())?)?;
        let alone = rest.is_empty() || rest.ends_with(char::is_whitespace);
        (alone && last.eq_ignore_ascii_case(switch)).then_some((rest.trim_end(), *on, true))
    });
    ended.or_else(|| {
        let words = line.trim_start();
        SWITCHES.iter().find_map(|(switch, on)| {
            let (first, rest) = words.split_at_checked(switch.len())?;
            let rest = rest.trim_start_matches(['.', '!', ',', ';', ':']);
            let alone = rest.starts_with(char::is_whitespace);
            (alone && first.eq_ignore_ascii_case(switch)).then_some((rest.trim_start(), *on, false))
        })
    })
}
