//! From the files on disk to the entries of the catalogue.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{ModelCard, ModelKind, advice, expectation, manifest, name};

/// Directories below `models_dir` that are looked into.
const DEPTH: usize = 6;

/// Every `*.rkllm` below `dir`, sorted by path.
pub(super) fn model_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(dir, DEPTH, &mut found);
    found.sort();
    found
}

fn collect(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::debug!(dir = %dir.display(), %error, "cannot list the directory of models");
            return;
        }
    };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, found);
            }
        } else if path
            .extension()
            .is_some_and(|ext| ext.eq_ignore_ascii_case("rkllm"))
        {
            found.push(path);
        }
    }
}

/// The catalogue entry of one model file.
pub(super) fn card(path: &Path) -> ModelCard {
    let mut warnings = Vec::new();
    let manifest = manifest::read(path).unwrap_or_else(|problem| {
        warnings.push(format!("model.toml is ignored: {problem}"));
        manifest::Manifest::default()
    });
    let (file_size, written) = match std::fs::metadata(path) {
        Ok(metadata) => (metadata.len(), unix_seconds(metadata.modified().ok())),
        Err(error) => {
            warnings.push(format!(
                "the model file cannot be read: {error}; check the path and its permissions"
            ));
            (0, 0)
        }
    };
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let parsed = name::parse(&stem);
    let family = manifest
        .family
        .clone()
        .or_else(|| parsed.family.clone())
        .unwrap_or_else(|| stem.clone());
    let size = manifest.size.clone().or(parsed.size);
    let quantisation = manifest.quantisation.clone().or(parsed.quantisation);
    let chip = manifest.chip.clone().or(parsed.chip);
    let context = manifest.context.or(parsed.context);
    let expectation = expectation::expect(
        Some(&family),
        size.as_deref(),
        quantisation.as_deref(),
        chip.as_deref(),
    );
    if size.is_none() && expectation.is_none() {
        warnings.push(format!(
            "the file name `{stem}` does not tell family and size; set `family` and `size` in model.toml beside it"
        ));
    }

    warnings.extend(advice::about(
        &family,
        quantisation.as_deref(),
        chip.as_deref(),
    ));

    let dir = path.parent().unwrap_or(Path::new("."));
    let tokenizer_dir = manifest
        .tokenizer
        .as_ref()
        .map_or_else(|| dir.to_path_buf(), |relative| dir.join(relative));
    let has_tokenizer = tokenizer_dir.join("tokenizer.json").is_file();
    let template = chat_template(&tokenizer_dir);
    let kind = manifest.kind.unwrap_or(match name::embeds(&stem) {
        true => ModelKind::Embedding,
        false => ModelKind::Text,
    });
    warnings.extend(tokenizer_warning(
        &tokenizer_dir,
        kind,
        has_tokenizer,
        template.is_some(),
    ));

    let lower = family.to_lowercase();
    let vision = manifest.vision.unwrap_or_else(|| name::sees(&lower));
    let thinking = manifest.thinking.unwrap_or_else(|| {
        let in_template = || {
            template
                .as_deref()
                .is_some_and(|text| text.contains("<think>"))
        };
        // Embedding models come with the chat template of the model that they were made from.
        kind == ModelKind::Text && (in_template() || name::thinks(&lower))
    });
    ModelCard {
        id: manifest
            .id
            .clone()
            .unwrap_or_else(|| id(&family, size.as_deref())),
        aliases: aliases(path, dir, &stem),
        name: manifest
            .name
            .clone()
            .unwrap_or_else(|| display_name(&family, size.as_deref())),
        path: path.to_path_buf(),
        tokenizer_dir,
        family,
        size,
        quantisation,
        chip,
        context,
        has_tokenizer,
        has_template: template.is_some(),
        kind,
        vision,
        thinking,
        file_size,
        written,
        expectation,
        warnings,
        manifest,
    }
}

fn unix_seconds(time: Option<SystemTime>) -> u64 {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs())
}

fn id(family: &str, size: Option<&str>) -> String {
    display_name(family, size)
        .to_lowercase()
        .replace(char::is_whitespace, "-")
}

fn display_name(family: &str, size: Option<&str>) -> String {
    size.map_or_else(|| family.to_owned(), |size| format!("{family}-{size}"))
}

/// The file's stem, and the directory's name if it holds no other model.
fn aliases(path: &Path, dir: &Path, stem: &str) -> Vec<String> {
    let mut aliases = vec![stem.to_owned()];
    let mut files = Vec::new();
    collect(dir, 0, &mut files);
    if let Some(folder) = dir.file_name()
        && files.iter().all(|other| other == path)
    {
        aliases.push(folder.to_string_lossy().into_owned());
    }
    aliases
}

/// The text of the chat template, if there is one.
pub(crate) fn chat_template(dir: &Path) -> Option<String> {
    if let Ok(text) = std::fs::read_to_string(dir.join("chat_template.jinja")) {
        return Some(text);
    }
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("tokenizer_config.json")).ok()?).ok()?;
    match config.get("chat_template")? {
        serde_json::Value::String(text) => Some(text.clone()),
        // Several templates by name: `default` is the one for chats.
        serde_json::Value::Array(named) => named
            .iter()
            .find(|entry| entry.get("name").and_then(serde_json::Value::as_str) == Some("default"))?
            .get("template")?
            .as_str()
            .map(str::to_owned),
        _ => None,
    }
}

fn tokenizer_warning(
    dir: &Path,
    kind: ModelKind,
    tokenizer: bool,
    template: bool,
) -> Option<String> {
    let dir = dir.display();
    match (kind, tokenizer, template) {
        (_, true, true) | (ModelKind::Embedding, true, false) => None,
        (ModelKind::Embedding, false, _) => Some(format!(
            "no tokenizer.json in {dir}: the runtime's own template would be read as a part of every text, so that \
             this model gives no embeddings; copy tokenizer.json from the model's Hugging Face page"
        )),
        (ModelKind::Text, false, _) => Some(format!(
            "no tokenizer.json in {dir}: the runtime's own template is used, so that only the last user message \
             reaches the model, nothing is known of the prompt's length before the run, and control tokens in user \
             text are not escaped; copy tokenizer.json and tokenizer_config.json from the model's Hugging Face page"
        )),
        (ModelKind::Text, true, false) => Some(format!(
            "no chat template in {dir}: chats go through the runtime's own template, so that only the last user \
             message reaches the model; copy tokenizer_config.json or chat_template.jinja from the model's Hugging \
             Face page"
        )),
    }
}
