//! What a sentence of a system prompt is worth: constraints, formats and names count, compliments do not.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

/// Words that bind the model, or say what its answer looks like.
const BINDING: &[&str] = &[
    "must",
    "never",
    "always",
    "only",
    "not",
    "don't",
    "don’t",
    "can't",
    "cannot",
    "won't",
    "no",
    "none",
    "without",
    "required",
    "require",
    "shall",
    "should",
    "at most",
    "at least",
    "maximum",
    "minimum",
    "limit",
    "unless",
    "except",
    "avoid",
    "forbidden",
    "refuse",
    "if",
    "when",
    "whenever",
    "instead",
    "exactly",
    "ensure",
    "make sure",
    "remember",
    "today",
    "date",
    "json",
    "xml",
    "yaml",
    "csv",
    "html",
    "markdown",
    "latex",
    "table",
    "bullet",
    "bullets",
    "list",
    "format",
    "respond in",
    "reply in",
    "answer in",
    "write in",
    "respond with",
    "reply with",
    "answer with",
    "language",
    "code",
    "words",
    "sentence",
    "sentences",
    "paragraph",
    "paragraphs",
    "characters",
    "emoji",
    "emojis",
    "cite",
    "tool",
    "tools",
    "function",
    "call",
    "name",
    "named",
    "called",
    "nie",
    "niemals",
    "immer",
    "nur",
    "nicht",
    "kein",
    "keine",
    "keinen",
    "muss",
    "musst",
    "antworte",
    "sprache",
    "jamais",
    "toujours",
    "ne",
    "pas",
    "seulement",
    "réponds",
    "répondez",
    "langue",
    "nunca",
    "siempre",
    "solo",
    "sólo",
    "debe",
    "debes",
    "responde",
    "idioma",
    "sin",
];

/// The same in scripts without spaces, where a word has no borders.
const BINDING_DENSE: &[&str] = &[
    "必须",
    "必須",
    "不要",
    "不得",
    "不能",
    "不可",
    "请勿",
    "禁止",
    "只",
    "仅",
    "格式",
    "列表",
    "语言",
    "語",
    "文字以",
    "ください",
    "てはいけ",
    "ない",
    "하지",
    "반드시",
    "항상",
    "형식",
    "만 ",
];

struct Binding {
    words: AhoCorasick,
    dense: AhoCorasick,
}

/// `None` would mean that the lists above are larger than an automaton can be.
static AUTOMATA: LazyLock<Option<Binding>> = LazyLock::new(|| {
    let words = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(BINDING);
    Some(Binding {
        words: words.ok()?,
        dense: AhoCorasick::new(BINDING_DENSE).ok()?,
    })
});

/// Whether a sentence says anything that must not get lost: a constraint, a format or a name.
pub(crate) fn carries(sentence: &str) -> bool {
    names(sentence)
        || AUTOMATA.as_ref().is_none_or(|automata| {
            automata.dense.is_match(sentence)
                || automata
                    .words
                    .find_iter(sentence)
                    .any(|found| is_word(sentence, found.start(), found.end()))
        })
}

/// Whether neither side of a place goes on with a letter.
fn is_word(text: &str, start: usize, end: usize) -> bool {
    let before = text
        .get(..start)
        .and_then(|before| before.chars().next_back());
    let after = text.get(end..).and_then(|after| after.chars().next());
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

/// Whether there are names in it: capitals within, digits, code, quotes, addresses, placeholders.
fn names(sentence: &str) -> bool {
    if sentence.contains([
        '`', '"', '“', '„', '«', '「', '《', '{', '<', '@', '#', '|', '\\', '$', '€', '%', '=',
    ]) || sentence.contains("://")
    {
        return true;
    }
    let mut first = true;
    for word in sentence.split_whitespace() {
        if word.chars().any(char::is_numeric) {
            return true;
        }
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        if word.is_empty() {
            continue;
        }
        let mut letters = word.chars();
        let capital = letters.next().is_some_and(char::is_uppercase);
        let inside = letters.any(char::is_uppercase) || word.contains(['_', '/']);
        let person = matches!(word, "I" | "I'm" | "I’m" | "I'll" | "AI" | "A");
        if !person && (inside || (capital && !first)) {
            return true;
        }
        first = false;
    }
    false
}

/// Phrases that mark a sentence as padding.
#[derive(Debug, Clone)]
pub(crate) struct Padding(AhoCorasick);

impl Padding {
    /// # Errors
    ///
    /// When there are more phrases than an automaton can hold.
    pub(crate) fn new<T: AsRef<[u8]>>(phrases: &[T]) -> Result<Self, aho_corasick::BuildError> {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(phrases)
            .map(Self)
    }

    /// Whether any of the phrases stands in a text.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// What is left of a sentence that has one of the phrases: nothing where the rest carries nothing, or the rest
    /// where the phrase is joined to it by "and" or a comma. `None` where the sentence has to stay as it is.
    pub(crate) fn without(&self, sentence: &str) -> Option<String> {
        let mut rest = String::new();
        let mut at = 0;
        let mut single = None;
        for (count, found) in self.0.find_iter(sentence).enumerate() {
            single = (count == 0).then(|| found.range());
            rest.push_str(sentence.get(at..found.start())?);
            rest.push_str(" x ");
            at = found.end();
        }
        if at == 0 {
            return None;
        }
        rest.push_str(sentence.get(at..)?);
        if !carries(&rest) {
            return Some(String::new());
        }
        let found = single?;
        unjoined(sentence.get(..found.start)?, sentence.get(found.end..)?)
    }
}

const JOINTS: [&str; 6] = [", and ", " and ", "; ", ", but ", " but ", ", "];

/// The sentence without the phrase between its two parts, if the phrase stands at one end and is joined to the rest.
fn unjoined(before: &str, after: &str) -> Option<String> {
    let start = before.len()
        - before
            .trim_start_matches(|c: char| !c.is_alphanumeric())
            .len();
    let joint = |text: &str, cut: fn(&str, &str) -> Option<usize>| {
        JOINTS.iter().find_map(|joint| cut(text, joint))
    };
    if start == before.len() {
        let behind = joint(after, |text, joint| {
            text.starts_with(joint).then_some(joint.len())
        })?;
        let rest = after.get(behind..)?;
        let mut letters = rest.chars();
        let first = letters.next()?;
        return Some(format!(
            "{before}{}{}",
            first.to_uppercase(),
            letters.as_str()
        ));
    }
    let ends = after.trim().chars().all(|c| !c.is_alphanumeric());
    let front = joint(before, |text, joint| text.strip_suffix(joint).map(str::len))?;
    ends.then(|| Some(format!("{}{after}", before.get(..front)?)))?
}
