#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::HashSet;

use tokenizers::Tokenizer;

use super::*;
use crate::model_file::ModelFile;

mod templates;

fn installed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    install(dir.path()).unwrap();
    dir
}

fn tokenizer(model: &Shipped) -> Tokenizer {
    let mut json = Vec::new();
    let vocabulary = model.vocabulary;
    vocabulary
        .write_tokenizer_json(&Base::new(), &mut json)
        .unwrap();
    Tokenizer::from_bytes(json).unwrap()
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let encoding = tokenizer.encode_fast(text, false).unwrap();
    encoding.get_ids().to_vec()
}

#[test]
fn every_model_loads_with_its_tokenizer() {
    let dir = installed();
    for model in MODELS {
        let folder = dir.path().join(model.file_stem);
        let path = folder.join(format!("{}.rkllm", model.file_stem));
        let file = ModelFile::read(&path).unwrap();
        assert_eq!(
            u32::try_from(file.header.max_context),
            Ok(model.context),
            "{}",
            model.file_stem
        );
        let tokenizer = Tokenizer::from_file(file.tokenizer).unwrap();
        for eos in &file.header.eos {
            assert!(tokenizer.token_to_id(eos).is_some(), "{eos}");
        }
        let config = fs::read_to_string(folder.join("tokenizer_config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        let named = config["eos_token"].as_str().unwrap();
        assert!(tokenizer.token_to_id(named).is_some(), "{named}");
        let manifest: toml::Table = fs::read_to_string(folder.join("model.toml"))
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(
            manifest["context"].as_integer(),
            Some(i64::from(model.context))
        );
    }
    let stems: HashSet<&str> = MODELS.iter().map(|model| model.file_stem).collect();
    assert_eq!(stems.len(), MODELS.len());
}

#[test]
fn installing_twice_changes_nothing_and_a_file_in_the_way_is_named() {
    let dir = installed();
    install(dir.path()).unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = install(&file).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}

#[test]
fn text_survives_the_tokenizer() {
    let tokenizer = tokenizer(&MODELS[0]);
    for text in [
        "Hello, world!",
        "Überraschung: 12 Häuser, «été»",
        "日本語と😀👩\u{200d}👩\u{200d}👧",
        "\n\n  x = {'a': 1}\t\r\n \u{0}",
        "<|im_start|>user\nHi<|im_end|>\n<think>\n",
    ] {
        let ids = ids(&tokenizer, text);
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
    // What runtime 1.3.0 takes for the end where a model's own end token is lost.
    assert_eq!(tokenizer.token_to_id(","), Some(11));
}

#[test]
fn control_tokens_are_one_id_and_only_those_of_markup_are_hidden() {
    let tokenizer = tokenizer(&MODELS[0]);
    for token in ["<|im_start|>", "<|im_end|>", "<think>", "</tool_call>"] {
        assert_eq!(ids(&tokenizer, token).len(), 1, "{token}");
    }
    let said = ids(&tokenizer, "<think>\nSo.\n</think>\n\nYes.<|im_end|>");
    assert_eq!(
        tokenizer.decode(&said, true).unwrap(),
        "<think>\nSo.\n</think>\n\nYes."
    );
}

#[test]
fn an_embedding_model_reads_every_text_up_to_an_end_token() {
    let embedding = MODELS
        .iter()
        .find(|model| model.file_stem.contains("Embedding"))
        .unwrap();
    let tokenizer = tokenizer(embedding);
    let with_end = tokenizer.encode_fast("some words", true).unwrap();
    let end = tokenizer.token_to_id("<|endoftext|>").unwrap();
    let expected = [ids(&tokenizer, "some words"), vec![end]].concat();
    assert_eq!(with_end.get_ids(), expected);
}

#[test]
fn counts_come_near_those_of_real_models() {
    let tokenizer = tokenizer(&MODELS[0]);
    let english = "A proxy server sits between a client and the servers that it wants to reach. It passes \
                   requests on and returns the answers, and it can keep a copy of what is asked for often.";
    let definition = r#"{"type": "function", "function": {"name": "search_notes", "description": "Search the user's notes by title and content.", "parameters": {"type": "object", "properties": {"query": {"type": "string", "description": "The search query"}, "count": {"type": "integer", "description": "Maximum number of results (default: 5)"}}, "required": ["query"]}}}"#;
    for (text, least, most) in [
        (english, 3.8, 5.5),
        (definition, 3.3, 5.0),
        ("Wie funktioniert eine Wärmepumpe im Winter?", 1.8, 4.5),
        ("Как работает тепловой насос зимой?", 1.2, 4.0),
        ("热泵在冬天是如何工作的？", 0.5, 2.0),
    ] {
        let each = text.chars().count() as f64 / ids(&tokenizer, text).len() as f64;
        assert!(
            (least..most).contains(&each),
            "{each} characters per token: {text}"
        );
    }
}
