//! What is searched: how a text becomes words, and how words that a person typed become the terms of a query.
//!
//! Both ways go through [`words`]; the index itself only cuts at the spaces that it puts between them.

/// Bytes of a text that can be found; the rest of a long one cannot.
const SEARCHED: usize = 8 << 10;
/// Letters of a word that count; PostgreSQL takes no words of more than 2 KiB.
const LONGEST: usize = 200;
/// Letters of a word's beginning that are searched for; fewer would find nearly everything, slowly.
const SHORTEST_BEGINNING: usize = 3;

/// A text as the index wants it.
pub(super) fn indexed(text: &str, out: &mut String) {
    let mut end = text.len().min(SEARCHED);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // As long as the text, with a space before it.
    out.reserve(end + 1);
    words(&text[..end], &mut |word, kind| match kind {
        Kind::Spaced => push_lower(word, out),
        Kind::Unspaced => {
            for part in parts(word, kind) {
                push_lower(part, out);
            }
            if let Some((last, _)) = word.char_indices().next_back() {
                push_lower(&word[last..], out);
            }
        }
    });
}

/// A word to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::promptlog) struct Term {
    /// The word: letters and digits only, in lower case.
    pub(in crate::promptlog) word: String,
    /// Whether it may be the beginning of one.
    pub(in crate::promptlog) is_open: bool,
}

/// The words that a record must have all of to be found; the last may be the beginning of one.
pub(in crate::promptlog) fn terms(typed: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut is_open = false;
    words(typed, &mut |word, kind| {
        is_open = match kind {
            Kind::Spaced => {
                typed.ends_with(word) && word.chars().nth(SHORTEST_BEGINNING - 1).is_some()
            }
            // A character alone is the beginning of a pair.
            Kind::Unspaced => word.chars().nth(1).is_none(),
        };
        terms.extend(parts(word, kind).map(|part| Term {
            word: lower(part).collect(),
            is_open: false,
        }));
    });
    if let Some(last) = terms.last_mut() {
        last.is_open = is_open;
    }
    terms
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A word between spaces or signs.
    Spaced,
    /// A run of characters of a script that puts no spaces between words.
    Unspaced,
}

/// In lower case, each letter for itself: what follows it must not matter. Of a long word, the beginning.
fn lower(part: &str) -> impl Iterator<Item = char> {
    part.chars().take(LONGEST).flat_map(char::to_lowercase)
}

fn push_lower(word: &str, out: &mut String) {
    if !out.is_empty() {
        out.push(' ');
    }
    if word.is_ascii() {
        let start = out.len();
        out.push_str(&word[..word.len().min(LONGEST)]);
        out[start..].make_ascii_lowercase();
    } else {
        out.extend(lower(word));
    }
}

/// Calls `each` with every word.
fn words<'t>(text: &'t str, each: &mut impl FnMut(&'t str, Kind)) {
    let mut rest = text;
    // Most text is ASCII, of which a byte is a character.
    let is_sign = |byte: u8| byte.is_ascii() && !byte.is_ascii_alphanumeric();
    while let Some(start) = rest.bytes().position(|byte| !is_sign(byte)) {
        rest = &rest[start..];
        let end = rest.bytes().position(|byte| !byte.is_ascii_alphanumeric());
        let end = end.unwrap_or(rest.len());
        if rest.as_bytes().get(end).is_none_or(u8::is_ascii) {
            let (word, after) = rest.split_at(end);
            each(word, Kind::Spaced);
            rest = after;
        } else {
            let end = rest.find(|character: char| !character.is_alphanumeric());
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            runs(word, each);
            let mut after = after.chars();
            after.next();
            rest = after.as_str();
        }
    }
}

/// Calls `each` with every run of a word that is of one kind.
fn runs<'t>(word: &'t str, each: &mut impl FnMut(&'t str, Kind)) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let unspaced = is_unspaced(first);
        let end = rest.find(|character| is_unspaced(character) != unspaced);
        let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
        let kind = if unspaced {
            Kind::Unspaced
        } else {
            Kind::Spaced
        };
        each(run, kind);
        rest = after;
    }
}

/// A word as it is; a run as its pairs of neighbours, or else a sentence would be one word.
fn parts(word: &str, kind: Kind) -> impl Iterator<Item = &str> {
    let pairs = (kind == Kind::Unspaced && word.chars().nth(1).is_some()).then(|| {
        let starts = word.char_indices().map(|(start, _)| start);
        let ends = word.char_indices().skip(2).map(|(end, _)| end);
        starts
            .zip(ends.chain([word.len()]))
            .map(|(start, end)| &word[start..end])
    });
    let whole = pairs.is_none().then_some(word);
    whole.into_iter().chain(pairs.into_iter().flatten())
}

/// Whether words of this script follow each other without a space.
fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{0e00}'..='\u{0eff}'       // Thai, Lao
        | '\u{1000}'..='\u{109f}'     // Burmese
        | '\u{1780}'..='\u{17ff}'     // Khmer
        | '\u{3040}'..='\u{30ff}'     // Japanese kana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // Han
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;
    use crate::promptlog::query::Dialect;

    fn query(typed: &str) -> Option<String> {
        Dialect::Sqlite.matching(&terms(typed))
    }

    fn finds(text: &str, typed: &str) -> bool {
        let connection = Connection::open_in_memory().unwrap();
        let options = "content = '', detail = none, tokenize = 'ascii'";
        let create = format!("CREATE VIRTUAL TABLE search USING fts5 (text, {options})");
        connection.execute_batch(&create).unwrap();
        let mut words = String::new();
        indexed(text, &mut words);
        connection
            .execute("INSERT INTO search VALUES (?1)", [words])
            .unwrap();
        let count: i64 = connection
            .query_row(
                "SELECT count(*) FROM search WHERE search MATCH ?1",
                [query(typed).unwrap()],
                |row| row.get(0),
            )
            .unwrap();
        count == 1
    }

    #[test]
    fn words_are_found_in_any_order_and_the_last_by_its_beginning() {
        let text = "The NPU's kernel driver crashed: rknn_matmul said E0042 in Zürich";
        for typed in [
            "npu",
            "crashed driver",
            "kern",
            "matmul e0042",
            "NPU's",
            "ZÜRICH",
        ] {
            assert!(finds(text, typed), "{typed}");
        }
        for typed in ["kernels", "kern driver", "\"kernel\" OR", "rnel", "ke"] {
            assert!(!finds(text, typed), "{typed}");
        }
    }

    #[test]
    fn scripts_without_spaces_are_found_by_any_part() {
        let text = "请介绍一下RK3588的NPU性能";
        for typed in [
            "介绍",
            "一下",
            "介绍一下",
            "NPU性能",
            "rk3588",
            "性",
            "能",
            "的",
        ] {
            assert!(finds(text, typed), "{typed}");
        }
        assert!(!finds(text, "介一"));
    }

    /// Words as the standard library has them, cut where one script ends and another begins.
    fn plainly(text: &str) -> Vec<String> {
        let kind = |letter: char| letter.is_alphanumeric().then(|| is_unspaced(letter));
        let letters: Vec<char> = text.chars().collect();
        let runs = letters.chunk_by(|one, next| kind(*one) == kind(*next));
        runs.filter(|run| run.iter().all(|letter| letter.is_alphanumeric()))
            .map(|run| run.iter().collect())
            .collect()
    }

    proptest! {
        #[test]
        fn words_are_runs_of_letters_and_digits(text in "([a-zA-Z0-9]{1,3}|[ -@]|[äß€“ء½]|[性的か]|\\PC){0,20}") {
            let mut found = Vec::new();
            words(&text, &mut |word, kind| found.push((word, kind)));
            for (word, kind) in &found {
                prop_assert!(word.chars().all(|letter| is_unspaced(letter) == (*kind == Kind::Unspaced)));
            }
            let found: Vec<&str> = found.into_iter().map(|(word, _)| word).collect();
            prop_assert_eq!(found, plainly(&text));
        }

        #[test]
        fn whatever_is_typed_is_a_valid_query_and_finds_itself(typed in "\\PC{0,20}") {
            if query(&typed).is_some() {
                prop_assert!(finds(&typed, &typed), "{:?}", query(&typed));
            }
        }

        #[test]
        fn signs_of_the_query_language_are_only_signs(typed in "[a-c \"*^:(){}+-]{1,12}|NEAR\\(a b\\)|a AND b|NOT a") {
            if query(&typed).is_some() {
                finds("text", &typed);
            }
        }
    }
}
