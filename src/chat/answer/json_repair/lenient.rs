//! Reading what a model meant as JSON.
//!
//! The reader never fails: from an opening bracket on it makes the best of the text. Valid JSON is read as JSON.

use super::{Fix, Fixes};

/// Deepest nesting that is followed. Answers have two levels; brackets beyond are text.
const MAX_DEPTH: usize = 16;

/// A value as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Loose {
    /// A string, or a word without quotes. Not `whole` where the text ends inside it.
    Text {
        text: String,
        quoted: bool,
        whole: bool,
    },
    List(Vec<Loose>),
    /// Members in order. Not `whole` where the text ends inside it.
    Object {
        members: Vec<Member>,
        whole: bool,
    },
}

impl Loose {
    /// The text, if it is one and its end was seen.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text {
                text, whole: true, ..
            } => Some(text),
            _ => None,
        }
    }
}

/// A key and its value; a value that stands alone has no key.
pub(super) type Member = (Option<String>, Loose);

/// Reads one value out of a text.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Lists and objects that are open.
    lists: usize,
    objects: usize,
    pub(super) fixes: Fixes,
}

impl<'t> Reader<'t> {
    /// A reader of `text` from the byte `at` on, which is the start of a character.
    pub(super) fn new(text: &'t str, at: usize) -> Self {
        Self {
            text,
            at,
            lists: 0,
            objects: 0,
            fixes: Fixes::default(),
        }
    }

    /// Where the value that was read ends.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// The next value; `None` where there is none, or a null.
    pub(super) fn value(&mut self) -> Option<Loose> {
        self.skip_space();
        let nested = self.lists + self.objects < MAX_DEPTH;
        match self.peek() {
            None => {
                self.fixes.insert(Fix::Truncated);
                None
            }
            Some('{') if nested => Some(self.object()),
            Some('[') if nested => Some(self.list()),
            Some(',' | ':' | ']' | '}') => None,
            Some(quote) if closers(quote).is_some() => Some(self.string()),
            Some(_) => self.word(),
        }
    }

    fn object(&mut self) -> Loose {
        self.bump();
        self.objects += 1;
        let mut members = Vec::new();
        let mut whole = true;
        let mut after_comma = true;
        loop {
            self.skip_space();
            match self.peek() {
                None => {
                    self.fixes.insert(Fix::Truncated);
                    whole = false;
                    break;
                }
                Some('}') => {
                    self.end_of_items(after_comma && !members.is_empty());
                    self.bump();
                    break;
                }
                Some(',') => {
                    self.end_of_items(after_comma);
                    self.bump();
                    after_comma = true;
                    continue;
                }
                Some(']') if self.lists > 0 => {
                    self.fixes.insert(Fix::Brackets);
                    break;
                }
                Some(']' | ':') => {
                    self.fixes.insert(Fix::Brackets);
                    self.bump();
                    continue;
                }
                Some(_) => {}
            }
            if !after_comma {
                self.fixes.insert(Fix::Commas);
            }
            after_comma = false;
            let key = self.key();
            if let Some(value) = self.value() {
                members.push((key, value));
            }
        }
        self.objects -= 1;
        Loose::Object { members, whole }
    }

    /// The key before a colon, with its colon; `None`, and nothing read, if there is none.
    fn key(&mut self) -> Option<String> {
        let (start, fixes) = (self.at, self.fixes.clone());
        let key = match self.peek() {
            Some('{' | '[') => return None,
            Some(quote) if closers(quote).is_some() => match self.string() {
                Loose::Text {
                    text, whole: true, ..
                } => text,
                _ => String::new(),
            },
            _ => {
                let rest = self.rest();
                let length = rest
                    .find([':', '=', ',', '{', '}', '[', ']', '"', '\n'])
                    .unwrap_or(rest.len());
                let key = rest.split_at(length).0.trim().to_owned();
                self.at += length;
                self.fixes.insert(Fix::Quotes);
                key
            }
        };
        self.skip_space();
        let colon = [":", "=>", "="]
            .into_iter()
            .find(|colon| self.rest().starts_with(colon));
        match colon {
            Some(colon) if !key.is_empty() => {
                if colon != ":" {
                    self.fixes.insert(Fix::Quotes);
                }
                self.at += colon.len();
                Some(key)
            }
            _ => {
                (self.at, self.fixes) = (start, fixes);
                None
            }
        }
    }

    fn list(&mut self) -> Loose {
        self.bump();
        self.lists += 1;
        let mut items: Vec<Loose> = Vec::new();
        let mut after_comma = true;
        loop {
            self.skip_space();
            match self.peek() {
                None => {
                    self.fixes.insert(Fix::Truncated);
                    break;
                }
                Some(']') => {
                    self.end_of_items(after_comma && !items.is_empty());
                    self.bump();
                    break;
                }
                Some(',') => {
                    self.end_of_items(after_comma);
                    self.bump();
                    after_comma = true;
                }
                Some('}') if self.objects > 0 => {
                    self.fixes.insert(Fix::Brackets);
                    break;
                }
                Some('}') => {
                    self.fixes.insert(Fix::Brackets);
                    self.bump();
                }
                // `["key": "item"]`: what stands before the colon is no item.
                Some(':') => {
                    self.fixes.insert(Fix::Brackets);
                    self.bump();
                    items.pop();
                    after_comma = true;
                }
                Some(_) => {
                    if !after_comma {
                        self.fixes.insert(Fix::Commas);
                    }
                    after_comma = false;
                    items.extend(self.value());
                }
            }
        }
        self.lists -= 1;
        Loose::List(items)
    }

    fn end_of_items(&mut self, after_comma: bool) {
        if after_comma {
            self.fixes.insert(Fix::Commas);
        }
    }

    /// A value without quotes: a number, a literal, or words.
    fn word(&mut self) -> Option<Loose> {
        let rest = self.rest();
        let length = rest.find([',', ']', '}', '\n']).unwrap_or(rest.len());
        let word = rest.split_at(length).0.trim_end();
        self.at += length;
        let whole = length < rest.len();
        if matches!(word, "null" | "None" | "undefined") {
            return None;
        }
        if serde_json::from_str::<serde_json::Value>(word).is_err() {
            self.fixes.insert(Fix::Quotes);
        }
        if !whole {
            self.fixes.insert(Fix::Truncated);
        }
        Some(Loose::Text {
            text: word.to_owned(),
            quoted: false,
            whole,
        })
    }

    /// A string in any quotes. A quote that cannot be the end, going by what follows it, is part of the text.
    fn string(&mut self) -> Loose {
        let opener = self.bump().unwrap_or('"');
        if opener != '"' {
            self.fixes.insert(Fix::Quotes);
        }
        let closers = closers(opener).unwrap_or_default();
        let mut text = String::new();
        while let Some(next) = self.bump() {
            match next {
                '\\' => match self.escape() {
                    Some(escaped) => text.push_str(escaped.as_str()),
                    None => {
                        self.at = self.text.len();
                        break;
                    }
                },
                _ if closers.contains(next) && self.string_may_end() => {
                    return quoted(text, true);
                }
                '\n' | '\r' if self.line_ends_string() => {
                    self.fixes.insert(Fix::Quotes);
                    self.drop_closers(&mut text);
                    let length = text.trim_end_matches([',', '”', ' ', '\r', '\n']).len();
                    text.truncate(length);
                    return quoted(text, true);
                }
                _ => {
                    if closers.contains(next) {
                        self.fixes.insert(Fix::Quotes);
                    } else if next < ' ' {
                        self.fixes.insert(Fix::Escapes);
                    }
                    text.push(next);
                }
            }
        }
        let whole = self.drop_closers(&mut text);
        self.fixes
            .insert(if whole { Fix::Quotes } else { Fix::Truncated });
        quoted(text, whole)
    }

    /// Whether a string may end here, behind a quote.
    fn string_may_end(&self) -> bool {
        let rest = self.rest();
        let next = rest.trim_start();
        let space = rest.split_at(rest.len() - next.len()).0;
        if next.is_empty() || space.contains('\n') || next.starts_with([']', '}', ':', '=']) {
            return true;
        }
        if let Some(after) = next.strip_prefix(',') {
            return value_may_begin(after.trim_start());
        }
        if next.starts_with("//") || next.starts_with("/*") {
            return true;
        }
        // A forgotten comma: the next quote opens a string.
        let mut chars = next.chars();
        !space.is_empty()
            && chars.next().is_some_and(|quote| closers(quote).is_some())
            && chars.next().is_some_and(|inner| inner.is_alphanumeric())
    }

    /// Whether a string whose quote was forgotten ends here, behind a line break.
    fn line_ends_string(&self) -> bool {
        let next = self.rest().trim_start();
        next.is_empty()
            || next.starts_with(['}', ']'])
            || next.starts_with("```")
            || next.starts_with(|quote| closers(quote).is_some())
    }

    /// Takes the brackets of what is open off the end of a string that has no closing quote. False, and nothing is
    /// taken, if they are not there: then the text ends inside the string.
    fn drop_closers(&self, text: &mut String) -> bool {
        let mut rest = text.trim_end();
        if self.objects > 0 {
            let Some(inner) = rest.strip_suffix('}') else {
                return false;
            };
            rest = inner.trim_end();
        }
        if self.lists > 0 {
            let Some(inner) = rest.strip_suffix(']') else {
                return false;
            };
            rest = inner.trim_end();
        }
        let length = rest.trim_end_matches(['”', '’', ',']).len();
        text.truncate(length);
        true
    }

    /// What an escape means, behind its backslash; `None` where the text ends inside it.
    fn escape(&mut self) -> Option<Escaped> {
        let escaped = match self.bump()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => return self.code_point(),
            legal @ ('"' | '\\' | '/') => legal,
            // Escapes of Markdown and of other languages.
            other => {
                self.fixes.insert(Fix::Escapes);
                if !other.is_ascii_punctuation() {
                    return Some(Escaped::new('\\', Some(other)));
                }
                other
            }
        };
        Some(Escaped::new(escaped, None))
    }

    /// The character of a `\u` escape, surrogate pairs included; half a pair is the replacement character.
    fn code_point(&mut self) -> Option<Escaped> {
        let Some(unit) = self.hex() else {
            if self.rest().len() < 4 && self.rest().bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            self.fixes.insert(Fix::Escapes);
            return Some(Escaped::new('\\', Some('u')));
        };
        let mut units = vec![unit];
        if (0xd800..0xdc00).contains(&unit) {
            let rest = self.rest();
            if rest.len() < 6 && (rest == "\\" || rest.is_empty() || rest.starts_with("\\u")) {
                return None;
            }
            if rest.starts_with("\\u") {
                let back = self.at;
                self.at += 2;
                match self.hex() {
                    Some(low) if (0xdc00..0xe000).contains(&low) => units.push(low),
                    _ => self.at = back,
                }
            }
        }
        let read = char::decode_utf16(units).next();
        if !matches!(read, Some(Ok(_))) {
            self.fixes.insert(Fix::Escapes);
        }
        let read = read.and_then(Result::ok);
        Some(Escaped::new(
            read.unwrap_or(char::REPLACEMENT_CHARACTER),
            None,
        ))
    }

    fn hex(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let unit = u16::from_str_radix(digits, 16).ok()?;
        self.at += 4;
        Some(unit)
    }

    /// Skips whitespace and comments.
    fn skip_space(&mut self) {
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            let end = if self.rest().starts_with("//") {
                self.rest().find('\n')
            } else if self.rest().starts_with("/*") {
                self.rest().find("*/").map(|at| at + 2)
            } else {
                return;
            };
            self.fixes.insert(Fix::Commas);
            self.at = end.map_or(self.text.len(), |end| self.at + end);
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }
}

fn quoted(text: String, whole: bool) -> Loose {
    Loose::Text {
        text,
        quoted: true,
        whole,
    }
}

/// One or two characters that an escape stands for.
struct Escaped(String);

impl Escaped {
    fn new(first: char, second: Option<char>) -> Self {
        Self([Some(first), second].into_iter().flatten().collect())
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

/// The quotes that end a string which this one opens; `None` if it opens none.
pub(super) fn closers(opener: char) -> Option<&'static str> {
    match opener {
        '"' => Some("\""),
        '\'' => Some("'"),
        '`' => Some("`"),
        '“' | '”' | '„' | '″' => Some("”“\"″"),
        '‘' | '’' | '‚' => Some("’‘'"),
        '«' => Some("»"),
        '「' => Some("」"),
        _ => None,
    }
}

/// Whether `text`, behind a comma, may be the next value or member: if not, the comma was part of a sentence.
fn value_may_begin(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return true;
    };
    let literal = ["true", "false", "null", "..."];
    if closers(first).is_some()
        || matches!(first, '{' | '[' | ']' | '}' | ',' | '-' | '/')
        || first.is_ascii_digit()
        || literal
            .iter()
            .any(|literal| text.starts_with(literal) || literal.starts_with(text))
    {
        return true;
    }
    // A key without quotes.
    let behind = text.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'));
    behind.len() < text.len() && behind.trim_start().starts_with(':')
}
