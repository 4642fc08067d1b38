//! Tokenizers of the shipped models: one byte-level BPE vocabulary with each family's added tokens behind it.

use std::{
    collections::{BTreeSet, HashSet},
    io,
};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// The merges of the shared vocabulary in order, made by train.py beside it.
const MERGES: &str = include_str!("../../assets/tokenizer/base.merges");

/// Cuts text into pieces that merges never cross: contractions, words with the character before them, single digits,
/// punctuation with line breaks behind it, white space. The same cuts as Qwen's.
const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What a family adds to the shared vocabulary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vocabulary {
    /// Control tokens in the order of their ids; hidden from readers of an answer.
    pub(crate) special: &'static [&'static str],
    /// Whole tokens that are part of an answer's text.
    pub(crate) visible: &'static [&'static str],
    pub(crate) bos: Option<&'static str>,
    pub(crate) eos: &'static str,
    pub(crate) pad: &'static str,
    /// What the tokenizer puts behind every text, as those of embedding models do.
    pub(crate) end: Option<&'static str>,
}

impl Vocabulary {
    fn added(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let special = self.special.iter().map(|token| (*token, true));
        special.chain(self.visible.iter().map(|token| (*token, false)))
    }

    /// Writes the `tokenizer.json` of the `tokenizers` library.
    ///
    /// # Errors
    /// What `to` fails with.
    pub(crate) fn write_tokenizer_json(&self, base: &Base, to: impl io::Write) -> io::Result<()> {
        let first = base.tokens.0.len();
        let added = self
            .added()
            .enumerate()
            .map(|(position, (content, special))| {
                json!({
                    "id": first + position,
                    "content": content,
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": special,
                })
            })
            .collect();
        let byte_level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
        });
        let file = TokenizerFile {
            version: "1.0",
            truncation: (),
            padding: (),
            added_tokens: added,
            normalizer: json!({"type": "NFC"}),
            pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": false},
                byte_level,
            ]}),
            post_processor: self.post_processor(&byte_level, first),
            decoder: byte_level,
            model: Bpe {
                kind: "BPE",
                dropout: (),
                unk_token: (),
                continuing_subword_prefix: "",
                end_of_word_suffix: "",
                fuse_unk: false,
                byte_fallback: false,
                ignore_merges: false,
                vocab: &base.tokens,
                merges: &base.merges,
            },
        };
        Ok(serde_json::to_writer(to, &file)?)
    }

    /// What happens to the ids of a text; `first` is the id of the first added token.
    fn post_processor(&self, byte_level: &Value, first: usize) -> Value {
        let end = self
            .added()
            .zip(first..)
            .find(|((content, _), _)| Some(*content) == self.end);
        let Some(((end, _), id)) = end else {
            return byte_level.clone();
        };
        let text = |name: &str, kind: u8| json!({"Sequence": {"id": name, "type_id": kind}});
        let token = |kind: u8| json!({"SpecialToken": {"id": end, "type_id": kind}});
        json!({"type": "Sequence", "processors": [byte_level, {
            "type": "TemplateProcessing",
            "single": [text("A", 0), token(0)],
            "pair": [text("A", 0), token(0), text("B", 1), token(1)],
            "special_tokens": {end: {"id": end, "ids": [id], "tokens": [end]}},
        }]})
    }

    /// The `tokenizer_config.json` beside it.
    pub(crate) fn config_json(&self, context: u32) -> String {
        let config = json!({
            "add_bos_token": false,
            "add_prefix_space": false,
            "additional_special_tokens": self.special,
            "bos_token": self.bos,
            "clean_up_tokenization_spaces": false,
            "eos_token": self.eos,
            "model_max_length": context,
            "pad_token": self.pad,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": null,
        });
        format!("{config:#}\n")
    }
}

/// A `tokenizer.json`. Written from where its parts are: a tree of them would be many times the file.
#[derive(Serialize)]
struct TokenizerFile<'a> {
    version: &'a str,
    truncation: (),
    padding: (),
    added_tokens: Vec<Value>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Bpe<'a>,
}

#[derive(Serialize)]
struct Bpe<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    dropout: (),
    unk_token: (),
    continuing_subword_prefix: &'a str,
    end_of_word_suffix: &'a str,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: &'a Tokens,
    merges: &'a [[&'static str; 2]],
}

/// The shared vocabulary.
pub(crate) struct Base {
    tokens: Tokens,
    merges: Vec<[&'static str; 2]>,
}

/// In the order of their ids: the 256 bytes first, then what each merge makes.
struct Tokens(Vec<String>);

impl Serialize for Tokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(0_usize..))
    }
}

impl Base {
    pub(crate) fn new() -> Self {
        let merges: Vec<[&str; 2]> = MERGES
            .lines()
            .filter_map(|line| line.split_once(' ').map(<[&str; 2]>::from))
            .collect();
        let bytes = byte_characters().into_iter().map(String::from);
        let mut seen = HashSet::new();
        let made = merges.iter().map(|pair| pair.concat());
        let tokens = bytes.chain(made).filter(|token| seen.insert(token.clone()));
        Self {
            tokens: Tokens(tokens.collect()),
            merges,
        }
    }
}

/// The characters that stand for bytes, in the order of their ids: printing bytes for themselves, then as many code
/// points from 256 on as there are others.
fn byte_characters() -> BTreeSet<char> {
    let printing = (0..=u8::MAX)
        .filter(|byte| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF))
        .map(char::from);
    let mut characters: BTreeSet<char> = printing.collect();
    characters.extend(('\u{100}'..).take(256 - characters.len()));
    characters
}
