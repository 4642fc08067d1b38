#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;

use super::Catalog;

fn place(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn ids(catalog: &Catalog) -> Vec<&str> {
    catalog
        .models()
        .iter()
        .map(|card| card.id.as_str())
        .collect()
}

#[test]
fn a_model_is_found_by_id_stem_and_folder_in_any_case() {
    let dir = tempfile::tempdir().unwrap();
    place(dir.path(), &[("My Chat/Qwen3-1.7B-rk3588-w8a8.rkllm", "x")]);
    let catalog = Catalog::scan(dir.path());
    for name in [
        "qwen3-1.7b",
        "QWEN3-1.7B",
        "Qwen3-1.7B-rk3588-w8a8",
        "my chat",
    ] {
        assert_eq!(
            catalog.find(name).map(|card| card.id.as_str()),
            Some("qwen3-1.7b"),
            "{name}"
        );
    }
    assert!(catalog.find("qwen3").is_none());
}

#[test]
fn equal_ids_are_told_apart_by_quantisation_then_context_then_number() {
    let dir = tempfile::tempdir().unwrap();
    place(
        dir.path(),
        &[
            ("a/Qwen3-4B-w8a8.rkllm", ""),
            ("b/Qwen3-4B-w8a8_g128.rkllm", ""),
            ("c/Phi-3-w8a8-4k.rkllm", ""),
            ("d/Phi-3-w8a8-16k.rkllm", ""),
            ("e/Same-1B.rkllm", ""),
            ("f/Same-1B.rkllm", ""),
        ],
    );
    assert_eq!(
        ids(&Catalog::scan(dir.path())),
        [
            "phi-3-w8a8-16k",
            "phi-3-w8a8-4k",
            "qwen3-4b-w8a8",
            "qwen3-4b-w8a8_g128",
            "same-1b",
            "same-1b-2"
        ]
    );
}

#[test]
fn the_manifest_overrides_the_name() {
    let dir = tempfile::tempdir().unwrap();
    place(
        dir.path(),
        &[
            ("m/strange.rkllm", "x"),
            (
                "m/model.toml",
                "id = 'helper'\nfamily = 'Qwen3'\nsize = '4B'\ncontext = 8192\nvision = true\n[sampling]\ntop_k = 1\ntop_p = 0.5",
            ),
        ],
    );
    let catalog = Catalog::scan(dir.path());
    let card = catalog.find("helper").unwrap();
    assert_eq!(
        (card.family.as_str(), card.context, card.vision),
        ("Qwen3", Some(8192), true)
    );
    let sampling = card.sampling(true);
    assert_eq!(
        (sampling.top_k, sampling.top_p, sampling.temperature),
        (2, 0.5, 0.6)
    );
}

#[test]
fn what_is_broken_is_said_and_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    place(
        dir.path(),
        &[
            ("a/x.rkllm", ""),
            ("a/model.toml", "contxt = 1"),
            ("b/Qwen3-0.6B.rkllm", ""),
            ("b/tokenizer.json", "{}"),
            (
                "b/tokenizer_config.json",
                r#"{"chat_template": "{{ '<think>' }}"}"#,
            ),
        ],
    );
    std::os::unix::fs::symlink("/nowhere", dir.path().join("b/Dangling-2B.rkllm")).unwrap();
    let catalog = Catalog::scan(dir.path());
    assert_eq!(ids(&catalog), ["dangling-2b", "qwen3-0.6b", "x"]);
    let good = catalog.find("qwen3-0.6b").unwrap();
    assert!(
        good.warnings.is_empty() && good.has_template && good.thinking,
        "{good:?}"
    );
    let bad = catalog.find("x").unwrap();
    assert!(
        bad.warnings
            .iter()
            .any(|warning| warning.contains("contxt")),
        "{:?}",
        bad.warnings
    );
    assert!(
        bad.warnings
            .iter()
            .any(|warning| warning.contains("tokenizer.json")),
        "{:?}",
        bad.warnings
    );
    let dangling = catalog.find("dangling-2b").unwrap();
    assert!(
        dangling
            .warnings
            .iter()
            .any(|warning| warning.contains("cannot be read")),
        "{:?}",
        dangling.warnings
    );
}

#[test]
fn a_missing_directory_is_an_empty_catalogue() {
    assert!(
        Catalog::scan(Path::new("/nowhere/at/all"))
            .models()
            .is_empty()
    );
}

#[test]
fn a_longer_context_takes_more_memory() {
    let dir = tempfile::tempdir().unwrap();
    place(
        dir.path(),
        &[
            ("a/Qwen3-4B-w8a8-4k.rkllm", ""),
            ("b/Qwen3-4B-w8a8-16k.rkllm", ""),
        ],
    );
    let catalog = Catalog::scan(dir.path());
    let memory = |id: &str| catalog.find(id).unwrap().expected_memory();
    assert_eq!(
        memory("qwen3-4b-w8a8-16k") - memory("qwen3-4b-w8a8-4k"),
        147_456 * 12 * 1024
    );
}

#[test]
fn a_model_is_as_old_as_its_file() {
    let dir = tempfile::tempdir().unwrap();
    place(dir.path(), &[("Qwen3-4B.rkllm", "")]);
    let written = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    std::fs::File::open(dir.path().join("Qwen3-4B.rkllm"))
        .unwrap()
        .set_modified(written)
        .unwrap();
    assert_eq!(Catalog::scan(dir.path()).models()[0].written, 1_700_000_000);
}
