#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A byte-level tokenizer of single bytes, a few merges and Qwen's special tokens, as the text of `tokenizer.json`.
pub(crate) fn sample_json() -> String {
    // By character, as in Qwen's vocabulary: the comma is 11.
    let mut characters: Vec<char> = byte_characters().into_keys().collect();
    characters.sort_unstable();
    let merges = [
        ("t", "h"),
        ("th", "e"),
        ("c", "a"),
        ("ca", "t"),
        ("\u{120}", "the"),
        ("o", "n"),
        ("\u{120}", "cat"),
    ];
    let mut vocabulary: Vec<String> = characters.iter().map(char::to_string).collect();
    vocabulary.extend(merges.iter().map(|(a, b)| format!("{a}{b}")));
    let ids: serde_json::Map<_, _> = vocabulary
        .iter()
        .enumerate()
        .map(|(id, t)| (t.clone(), json!(id)))
        .collect();
    let added: Vec<_> = [
        ("<|im_start|>", true),
        ("<|im_end|>", true),
        ("<think>", false),
        ("</think>", false),
    ]
    .into_iter()
    .enumerate()
    .map(|(index, (content, special))| {
        json!({
            "id": vocabulary.len() + index, "content": content, "special": special,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    })
    .collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {
            "type": "BPE", "vocab": ids, "merges": merges.map(|(a, b)| format!("{a} {b}")), "dropout": null,
            "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
        },
    })
    .to_string()
}

pub(crate) fn sample() -> Vocabulary {
    Vocabulary::new(Tokenizer::from_bytes(sample_json()).unwrap())
}

/// As SentencePiece models are converted: spaces are U+2581, unknown characters fall back to bytes.
fn sentence_piece() -> Vocabulary {
    let mut tokens: Vec<String> = (0..=255_u8).map(|byte| format!("<0x{byte:02X}>")).collect();
    tokens.extend(["\u{2581}", "a", "b", "c", "\u{2581}a", "<unk>"].map(str::to_owned));
    let ids: serde_json::Map<_, _> = tokens
        .iter()
        .enumerate()
        .map(|(id, t)| (t.clone(), json!(id)))
        .collect();
    let text = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"},
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
        ]},
        "model": {
            "type": "BPE", "vocab": ids, "merges": ["\u{2581} a"], "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true,
        },
    });
    Vocabulary::new(Tokenizer::from_bytes(text.to_string()).unwrap())
}

#[test]
fn added_tokens_stand_for_their_text_and_some_are_special() {
    let vocabulary = sample();
    let ids = vocabulary.encode("<|im_start|>the cat</think>");
    assert_eq!(ids.first().copied(), vocabulary.id("<|im_start|>"));
    assert_eq!(ids.len(), 4);
    assert!(vocabulary.is_special(ids[0]) && !vocabulary.is_special(ids[3]));
    assert_eq!(vocabulary.decode(&ids), "<|im_start|>the cat</think>");
}

#[test]
fn ids_outside_the_vocabulary_are_empty() {
    let vocabulary = sample();
    assert_eq!(
        (vocabulary.bytes(-7), vocabulary.bytes(1 << 30)),
        (Vec::new(), Vec::new())
    );
}

proptest! {
    #[test]
    fn the_bytes_of_the_tokens_are_the_text(text in "[the cat\\PC\n]{0,60}") {
        for vocabulary in [sample(), sentence_piece()] {
            let ids = vocabulary.encode(&text);
            prop_assert_eq!(vocabulary.decode(&ids), text.clone());
        }
    }
}
