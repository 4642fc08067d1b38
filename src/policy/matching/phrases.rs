//! All phrases of all rules in one automaton, so that a text is read once whatever the number of rules.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

use super::outer::{self, Regions, Tag};

/// A phrase's number.
pub(crate) type PhraseId = u32;
/// The number of a tag that a rule asks for.
pub(crate) type BlockId = u32;

/// Gathers the phrases while rules are compiled.
#[derive(Debug, Default)]
pub(crate) struct PhrasesBuilder {
    phrases: Vec<String>,
    phrase_ids: HashMap<String, PhraseId>,
    blocks: Vec<String>,
}

impl PhrasesBuilder {
    /// The number of a phrase; ASCII case does not make a difference.
    pub(crate) fn phrase(&mut self, phrase: &str) -> PhraseId {
        let phrase = phrase.to_ascii_lowercase();
        if let Some(id) = self.phrase_ids.get(&phrase) {
            return *id;
        }
        let id = self.phrases.len() as PhraseId;
        self.phrase_ids.insert(phrase.clone(), id);
        self.phrases.push(phrase);
        id
    }

    /// The number of a tag's blocks.
    pub(crate) fn block(&mut self, tag: &str) -> BlockId {
        let tag = tag.to_ascii_lowercase();
        let known = self.blocks.iter().position(|known| *known == tag);
        known.unwrap_or_else(|| {
            self.blocks.push(tag);
            self.blocks.len() - 1
        }) as BlockId
    }

    pub(crate) fn phrase_text(&self, id: PhraseId) -> &str {
        self.phrases.get(id as usize).map_or("", String::as_str)
    }

    /// Builds the automaton.
    ///
    /// # Errors
    /// When there are more phrases than the automaton can hold.
    pub(crate) fn build(self) -> Result<Phrases, BuildError> {
        let mut tags = self.blocks;
        let asked = tags.len();
        for quoted in outer::QUOTED {
            if !tags.iter().any(|tag| tag == quoted) {
                tags.push(quoted.to_owned());
            }
        }
        // The order of patterns: phrases, then each tag's opening and closing.
        let marks = tags
            .iter()
            .flat_map(|tag| [format!("<{tag}"), format!("</{tag}>")]);
        let patterns: Vec<String> = self.phrases.iter().cloned().chain(marks).collect();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&patterns)?;
        Ok(Phrases {
            automaton,
            phrases: self.phrases,
            asked,
            tags: tags
                .into_iter()
                .map(|name| Tag {
                    quoted: outer::QUOTED.contains(&name.as_str()),
                    name,
                })
                .collect(),
        })
    }
}

/// The automaton.
#[derive(Debug)]
pub(crate) struct Phrases {
    automaton: AhoCorasick,
    phrases: Vec<String>,
    tags: Vec<Tag>,
    /// How many of the tags rules ask for; the others are only quoted.
    asked: usize,
}

/// What stands in a text.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Phrases outside of blocks, code and quotes.
    outer: Bits,
    /// Phrases outside of blocks.
    shown: Bits,
    /// Phrases behind the last block.
    behind: Bits,
    blocks: Bits,
}

impl Phrases {
    /// Nothing found yet.
    pub(crate) fn none(&self) -> Found {
        Found {
            outer: Bits::new(self.phrases.len()),
            shown: Bits::new(self.phrases.len()),
            behind: Bits::new(self.phrases.len()),
            blocks: Bits::new(self.asked),
        }
    }

    /// Looks for all phrases in a text; what was found before stays.
    pub(crate) fn find(&self, text: &str, found: &mut Found) {
        let mut phrases = Vec::new();
        let mut marks = Vec::new();
        for hit in self.automaton.find_overlapping_iter(text) {
            let pattern = hit.pattern().as_usize();
            match pattern.checked_sub(self.phrases.len()) {
                None => phrases.push((pattern, hit.range())),
                Some(mark) => marks.push(outer::Mark {
                    tag: mark / 2,
                    closing: mark % 2 == 1,
                    start: hit.start(),
                    end: hit.end(),
                }),
            }
        }
        for tag in outer::blocks(text, &self.tags, &marks) {
            if tag < self.asked {
                found.blocks.set(tag);
            }
        }
        if phrases.is_empty() {
            return;
        }
        let regions = Regions::of(text, &self.tags, &marks);
        for (phrase, range) in phrases {
            if regions.shows(&range) {
                found.shown.set(phrase);
                if regions.is_outer(&range) {
                    found.outer.set(phrase);
                }
                if regions.is_behind(&range) {
                    found.behind.set(phrase);
                }
            }
        }
    }

    pub(crate) fn phrase_text(&self, id: PhraseId) -> &str {
        self.phrases.get(id as usize).map_or("", String::as_str)
    }

    pub(crate) fn tag(&self, id: BlockId) -> &str {
        self.tags.get(id as usize).map_or("", |tag| &tag.name)
    }
}

impl Found {
    pub(crate) fn has(&self, phrase: PhraseId) -> bool {
        self.outer.get(phrase as usize)
    }

    pub(crate) fn shows(&self, phrase: PhraseId) -> bool {
        self.shown.get(phrase as usize)
    }

    pub(crate) fn has_behind(&self, phrase: PhraseId) -> bool {
        self.behind.get(phrase as usize)
    }

    pub(crate) fn has_block(&self, block: BlockId) -> bool {
        self.blocks.get(block as usize)
    }
}

#[derive(Debug, Clone)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(length: usize) -> Self {
        Self(vec![0; length.div_ceil(64)])
    }

    fn set(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    fn get(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}
