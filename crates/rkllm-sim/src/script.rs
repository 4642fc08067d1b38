//! What the model will say, as tokens.

use crate::{
    Sampling, author, faults::Faults, pieces::Pieces, session::Session, vocabulary::Vocabulary,
};

/// The tokens of an answer and how far they have been played.
#[derive(Debug)]
pub(crate) struct Script {
    ids: Vec<i32>,
    at: usize,
    pub(crate) pieces: Pieces,
    pub(crate) ended: bool,
    /// Some tokenizers put a space before a text; it is no part of the answer.
    leading_space: bool,
}

impl Script {
    /// `text`, then the token that ends it; without one it is said again and again.
    pub(crate) fn new(vocabulary: &Vocabulary, text: &str, end: Option<i32>) -> Self {
        let mut ids = vocabulary.encode(text);
        let first = ids
            .first()
            .map(|&id| vocabulary.bytes(id))
            .unwrap_or_default();
        ids.extend(end);
        let leading_space = first.starts_with(b" ") && !text.starts_with(' ');
        Self {
            ids,
            at: 0,
            pieces: Pieces::default(),
            ended: false,
            leading_space,
        }
    }

    /// The next token. A model whose end is ignored says the same again.
    pub(crate) fn next_id(&mut self) -> i32 {
        let id = self
            .ids
            .get(self.at % self.ids.len().max(1))
            .copied()
            .unwrap_or_default();
        self.at += 1;
        id
    }

    /// The bytes of the token just taken.
    pub(crate) fn bytes(&self, vocabulary: &Vocabulary, id: i32) -> Vec<u8> {
        let mut bytes = vocabulary.bytes(id);
        if self.leading_space && self.at % self.ids.len().max(1) == 1 {
            bytes.remove(0);
        }
        bytes
    }
}

/// What the model says to all that stands in the cache.
pub(crate) fn compose(session: &Session, context: &[i32], sampling: Sampling) -> String {
    let Faults {
        broken_json,
        think_anyway,
        repetition,
        ..
    } = session.faults;
    (session.composer)(&author::Prompt {
        text: &session.vocabulary.decode(context),
        family: session.model.header.family,
        sampling,
        faults: author::Faults {
            broken_json,
            think_anyway,
            repetition,
        },
    })
}
