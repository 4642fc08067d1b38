//! The model's tokenizer, and the bytes that each token stands for.

use std::{collections::HashMap, path::Path};

use tokenizers::Tokenizer;

/// A tokenizer that also knows the bytes of single tokens, as a runtime that streams tokens must.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    tokenizer: Tokenizer,
    bytes: Scheme,
    /// Added tokens stand for their own text; the flag says whether the token is special.
    added: HashMap<u32, (String, bool)>,
    size: usize,
}

/// How ordinary tokens spell bytes.
#[derive(Debug)]
enum Scheme {
    /// Every byte is one printable character (the GPT-2 table).
    ByteLevel(HashMap<char, u8>),
    /// U+2581 is a space, `<0xNN>` is one byte.
    ByteFallback,
}

impl Vocabulary {
    pub(crate) fn load(file: &Path) -> Result<Self, tokenizers::Error> {
        Ok(Self::new(Tokenizer::from_file(file)?))
    }

    pub(crate) fn new(tokenizer: Tokenizer) -> Self {
        let byte_level = serde_json::to_string(&tokenizer.get_decoder())
            .is_ok_and(|decoder| decoder.contains("\"ByteLevel\""));
        let added = tokenizer
            .get_added_tokens_decoder()
            .into_iter()
            .map(|(id, token)| (id, (token.content, token.special)))
            .collect();
        Self {
            bytes: if byte_level {
                Scheme::ByteLevel(byte_characters())
            } else {
                Scheme::ByteFallback
            },
            added,
            size: tokenizer.get_vocab_size(true),
            tokenizer,
        }
    }

    /// The ids of `text`. Text of special tokens becomes those tokens; nothing is added around it.
    pub(crate) fn encode(&self, text: &str) -> Vec<i32> {
        let encoded = self.tokenizer.encode_fast(text, false);
        encoded
            .map(|e| {
                e.get_ids()
                    .iter()
                    .filter_map(|&id| i32::try_from(id).ok())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// The id of the token spelled `text`.
    pub(crate) fn id(&self, text: &str) -> Option<i32> {
        self.tokenizer
            .token_to_id(text)
            .and_then(|id| i32::try_from(id).ok())
    }

    /// How the vocabulary spells a token; empty for ids outside it.
    pub(crate) fn spelling(&self, id: i32) -> String {
        u32::try_from(id)
            .ok()
            .and_then(|id| self.tokenizer.id_to_token(id))
            .unwrap_or_default()
    }

    /// Whether `skip_special_token` hides the token.
    pub(crate) fn is_special(&self, id: i32) -> bool {
        u32::try_from(id)
            .ok()
            .and_then(|id| self.added.get(&id))
            .is_some_and(|(_, special)| *special)
    }

    /// Number of ids.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The bytes of one token; they need not be whole characters. Empty for ids outside the vocabulary.
    pub(crate) fn bytes(&self, id: i32) -> Vec<u8> {
        let Ok(unsigned) = u32::try_from(id) else {
            return Vec::new();
        };
        if let Some((text, _)) = self.added.get(&unsigned) {
            return text.clone().into_bytes();
        }
        let spelling = self.spelling(id);
        match &self.bytes {
            Scheme::ByteLevel(table) => spelling
                .chars()
                .filter_map(|c| table.get(&c).copied())
                .collect(),
            Scheme::ByteFallback => match single_byte(&spelling) {
                Some(byte) => vec![byte],
                None => spelling.replace('\u{2581}', " ").into_bytes(),
            },
        }
    }

    /// The text of `ids`, special tokens included.
    pub(crate) fn decode(&self, ids: &[i32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn single_byte(spelling: &str) -> Option<u8> {
    let hex = spelling.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(hex, 16).ok()
}

/// Bytes that print stand for themselves, the others for the code points from 256 on, in order.
fn byte_characters() -> HashMap<char, u8> {
    let mut next = 256;
    (0..=u8::MAX)
        .filter_map(|byte| {
            let code = match byte {
                b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => u32::from(byte),
                _ => {
                    next += 1;
                    next - 1
                }
            };
            char::from_u32(code).map(|character| (character, byte))
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
