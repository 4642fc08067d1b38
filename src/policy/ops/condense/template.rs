//! Templates with named parts.

use std::borrow::Cow;

use super::parts::{self, Part};

/// A template: lines of text and parts.
#[derive(Debug)]
pub(super) struct Template {
    lines: Vec<Vec<Piece>>,
    parts: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    name: String,
    part: Part,
    optional: bool,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    /// A place in `parts`.
    Part(usize),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// The name of a part that nobody knows.
    pub(super) fn parse(text: &str, own: &[(String, Part)]) -> Result<Self, String> {
        let mut template = Self {
            lines: Vec::new(),
            parts: Vec::new(),
        };
        // The line break behind the opening quotes of a TOML string is no part of it.
        for line in text.trim().split('\n') {
            let mut pieces = Vec::new();
            let mut rest = line;
            while let Some((before, name, optional, after)) = placeholder(rest) {
                let own = own
                    .iter()
                    .find(|(own, _)| own == name)
                    .map(|(_, part)| part.clone());
                let part = own
                    .or_else(|| parts::known(name))
                    .ok_or_else(|| name.to_owned())?;
                pieces.push(Piece::Text(before.to_owned()));
                let place = template.parts.iter().position(|part| part.name == name);
                let place = place.unwrap_or_else(|| {
                    template.parts.push(Named {
                        name: name.to_owned(),
                        part,
                        optional,
                    });
                    template.parts.len() - 1
                });
                pieces.push(Piece::Part(place));
                rest = after;
            }
            pieces.push(Piece::Text(rest.to_owned()));
            template.lines.push(pieces);
        }
        Ok(template)
    }

    /// Cuts the parts out of a prompt.
    ///
    /// # Errors
    ///
    /// The name of one that is not there.
    pub(super) fn cut(&self, prompt: &str) -> Result<Vec<Option<String>>, &str> {
        self.parts
            .iter()
            .map(|named| match named.part.cut(prompt) {
                None if !named.optional => Err(named.name.as_str()),
                Some(part) if named.optional && part.is_empty() => Ok(None),
                part => Ok(part.map(Cow::into_owned)),
            })
            .collect()
    }

    /// Whether a prompt looks as if it came of this template: it has the template's own words, in their order, at its
    /// ends and between the parts. What is quoted in such a prompt is not cut out once more.
    pub(super) fn is_filled(&self, prompt: &str) -> bool {
        let needed = self
            .lines
            .iter()
            .filter(|line| !line.iter().any(|piece| self.may_be_missing(piece)));
        let words: Vec<&Piece> = needed.flatten().collect();
        let mut rest = prompt.trim();
        let mut any = false;
        for (place, piece) in words.iter().enumerate() {
            let Piece::Text(own) = piece else {
                continue;
            };
            let own = own.trim();
            let found = match () {
                () if own.is_empty() => continue,
                () if place == 0 => rest.starts_with(own).then_some(0),
                () if place + 1 == words.len() => {
                    rest.ends_with(own).then(|| rest.len() - own.len())
                }
                () => rest.find(own),
            };
            let Some(behind) = found.and_then(|at| rest.get(at + own.len()..)) else {
                return false;
            };
            rest = behind;
            any = true;
        }
        any
    }

    fn may_be_missing(&self, piece: &Piece) -> bool {
        match piece {
            Piece::Text(_) => false,
            Piece::Part(place) => self.parts.get(*place).is_some_and(|part| part.optional),
        }
    }

    /// Puts the parts in; a line whose part is missing is left out.
    pub(super) fn fill(&self, parts: &[Option<String>]) -> String {
        let mut filled = String::new();
        for line in &self.lines {
            let pieces: Option<Vec<&str>> = line
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => Some(text.as_str()),
                    Piece::Part(place) => parts.get(*place)?.as_deref(),
                })
                .collect();
            if let Some(pieces) = pieces {
                filled.extend(pieces);
                filled.push('\n');
            }
        }
        filled.trim().to_owned()
    }
}

/// The first `{name}` or `{name?}`: the text before it, the name, whether it may be missing, the text behind it.
fn placeholder(text: &str) -> Option<(&str, &str, bool, &str)> {
    let mut at = 0;
    loop {
        let open = at + text.get(at..)?.find('{')?;
        at = open + 1;
        let inside = text.get(at..)?;
        let end = inside.find(|c: char| !(c.is_ascii_lowercase() || c == '_'))?;
        let (name, behind) = inside.split_at_checked(end)?;
        let (optional, behind) = match behind.strip_prefix('?') {
            Some(behind) => (true, behind),
            None => (false, behind),
        };
        if let (false, Some(after)) = (name.is_empty(), behind.strip_prefix('}')) {
            return Some((text.get(..open)?, name, optional, after));
        }
    }
}
