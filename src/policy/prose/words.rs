//! Words that tell what a text is about, made comparable.

use std::sync::LazyLock;

/// Words that say nothing about the subject.
const STOP: &[&str] = &[
    "about", "after", "again", "all", "also", "and", "any", "are", "because", "been", "before",
    "but", "can", "could", "did", "does", "don", "each", "for", "from", "get", "give", "had",
    "has", "have", "hello", "help", "her", "here", "him", "his", "how", "into", "its", "just",
    "know", "let", "like", "made", "make", "many", "may", "more", "most", "much", "need", "not",
    "now", "off", "one", "only", "other", "our", "out", "over", "please", "say", "see", "she",
    "should", "show", "some", "tell", "than", "thank", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "use", "used", "using", "very", "want", "was", "way", "were",
    "what", "when", "where", "which", "who", "why", "will", "with", "work", "would", "you", "your",
    "aber", "als", "auf", "aus", "bei", "bitte", "das", "dass", "dem", "den", "der", "des", "die",
    "ein", "eine", "einen", "für", "hat", "ich", "ist", "kann", "mein", "mich", "mir", "mit",
    "nicht", "oder", "sich", "sie", "sind", "und", "von", "welche", "wer", "wie", "wir", "zum",
    "zur", "avec", "ces", "dans", "est", "les", "mais", "mon", "nous", "par", "pas", "pour", "que",
    "qui", "sur", "une", "vous", "con", "del", "ella", "esta", "este", "las", "los", "muy", "para",
    "por", "qué", "sin", "son", "una",
];

static STOP_KEYS: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut keys: Vec<u64> = STOP.iter().map(|word| stem(word)).collect();
    keys.sort_unstable();
    keys
});

/// A key for each word that tells something, in order: words of one stem have the same key. Scripts without spaces
/// give one key for each pair of characters.
pub(crate) fn keys(text: &str) -> impl Iterator<Item = u64> + '_ {
    words(text).map(|(_, key)| key)
}

/// The words that tell something, each with its key.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (&str, u64)> + '_ {
    let stop: &[u64] = &STOP_KEYS;
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .flat_map(move |word| {
            let dense = word.starts_with(|c: char| c >= '\u{2e80}');
            let pairs = dense.then(|| {
                let ends = word.char_indices().skip(2).map(|(end, _)| end);
                let ends = ends.chain(std::iter::once(word.len()));
                let starts = word.char_indices().map(|(start, _)| start);
                starts.zip(ends).filter_map(|(start, end)| {
                    let pair = word.get(start..end)?;
                    (pair.chars().count() == 2).then(|| (pair, hash(pair.chars())))
                })
            });
            let single = (!dense).then(|| Some((word, key(word, stop)?))).flatten();
            pairs.into_iter().flatten().chain(single)
        })
}

/// The keys of the words of a name such as `search_notes` or `searchNotes`.
pub(crate) fn name_keys(name: &str) -> Vec<u64> {
    let stop: &[u64] = &STOP_KEYS;
    let mut keys = Vec::new();
    let mut add = |word: Option<&str>| {
        let word = word.filter(|word| !word.is_empty());
        keys.extend(word.and_then(|word| key(word, stop)));
    };
    let mut start = 0;
    let mut lower = false;
    for (at, c) in name.char_indices() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower) {
            add(name.get(start..at));
            start = at + if c.is_alphanumeric() { 0 } else { c.len_utf8() };
        }
        lower = c.is_lowercase();
    }
    add(name.get(start..));
    keys
}

/// The key of one word, whatever it tells.
pub(crate) fn word_key(word: &str) -> u64 {
    stem(word)
}

/// The key of a word; `None` for one that tells nothing.
fn key(word: &str, stop: &[u64]) -> Option<u64> {
    // Short words are numbers, or they tell nothing.
    if word.len() < 3 && !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let key = stem(word);
    stop.binary_search(&key).is_err().then_some(key)
}

/// Plural and singular, and everything behind the sixth character, are one word.
fn stem(word: &str) -> u64 {
    let (stem, ending) = match word.as_bytes() {
        [.., b'i', b'e', b's'] if word.len() > 4 => (word.len() - 3, "y"),
        [.., before, b's'] if word.len() > 3 && *before != b's' => (word.len() - 1, ""),
        _ => (word.len(), ""),
    };
    let chars = word
        .get(..stem)
        .unwrap_or(word)
        .chars()
        .chain(ending.chars());
    if word.is_ascii() {
        return hash(chars.map(|c| c.to_ascii_lowercase()).take(6));
    }
    hash(chars.flat_map(char::to_lowercase).take(6))
}

/// FNV-1a: the same on every machine and in every run.
fn hash(chars: impl Iterator<Item = char>) -> u64 {
    chars.fold(0xcbf2_9ce4_8422_2325, |hash, c| {
        (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3)
    })
}
