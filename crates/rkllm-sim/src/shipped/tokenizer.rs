//! Tokenizers of the shipped models: one byte-level BPE vocabulary with each family's added tokens behind it.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

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

    /// The `tokenizer.json` of the `tokenizers` library.
    pub(crate) fn tokenizer_json(&self) -> String {
        let (vocabulary, merges) = base();
        let first = vocabulary.len();
        let added: Vec<Value> = self
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
        let file = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": false},
                byte_level,
            ]},
            "post_processor": self.post_processor(&byte_level, first),
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "",
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": false,
                "vocab": vocabulary,
                "merges": merges,
            },
        });
        file.to_string()
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

/// Tokens with their ids, and the merges: the 256 bytes first, then what each merge makes.
fn base() -> (Map<String, Value>, Vec<[&'static str; 2]>) {
    let merges: Vec<[&str; 2]> = MERGES
        .lines()
        .filter_map(|line| line.split_once(' ').map(<[&str; 2]>::from))
        .collect();
    let bytes = byte_characters().into_iter().map(String::from);
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut vocabulary = Map::new();
    for token in bytes.chain(merges.iter().map(|pair| pair.concat())) {
        let next = ids.len();
        ids.entry(token.clone()).or_insert_with(|| {
            vocabulary.insert(token, next.into());
            next
        });
    }
    (vocabulary, merges)
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
