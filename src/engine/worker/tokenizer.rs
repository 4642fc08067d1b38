//! The model's tokenizer with what belongs to it: chat template, control tokens, end tokens.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};

use serde_json::{Value, json};
use tokenizers::{AddedToken, Encoding, Tokenizer};

use super::{
    escape::{CUT, Escaper},
    template::Template,
};
use crate::engine::catalog;

/// Tokens that end an answer in the families that run on RKLLM. Only those that a tokenizer has as special tokens count.
const END_OF_TURN: [&str; 10] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "<turn|>",
    "<|end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "</s>",
];

/// What opens a think block.
pub(super) const THINK: &str = "<think>";
/// What templates write in place of thinking.
const NO_THOUGHT: &str = "<think>\n\n</think>\n\n";

/// A tokenizer and what belongs to it.
#[derive(Debug)]
pub(super) struct ModelTokenizer {
    tokenizer: Tokenizer,
    /// The chat template, if there is one.
    pub(super) template: Option<Template>,
    /// Cuts control tokens in strings of the client.
    pub(super) escaper: Escaper,
    /// `bos_token` and `eos_token` for the template.
    pub(super) names: TokenNames,
    /// Ids that end an answer.
    pub(super) ends: BTreeSet<u32>,
    /// Whether the template leaves it to the model to open its think block, and writes an empty one where it is not to
    /// think.
    pub(super) leaves_thinking_open: bool,
}

/// The texts of tokens that templates refer to.
#[derive(Debug, Default)]
pub(super) struct TokenNames {
    pub(super) bos: String,
    pub(super) eos: String,
}

impl ModelTokenizer {
    /// Reads `tokenizer.json` and its companions from `dir`; `None` if there is no `tokenizer.json`.
    ///
    /// # Errors
    /// Text that names the file and what is wrong with it.
    pub(super) fn open(dir: &Path, more_ends: &[String]) -> Result<Option<Self>, String> {
        let path = dir.join("tokenizer.json");
        if !path.is_file() {
            return Ok(None);
        }
        let mut tokenizer =
            Tokenizer::from_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        // Files of embedding models may ask for both. What is too long is refused here, and nothing is shorter than
        // it is.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let config = companion(&dir.join("tokenizer_config.json"));
        let template = catalog::chat_template(dir).map(Template::new).transpose()?;
        let generation = companion(&dir.join("generation_config.json"));
        Self::new(tokenizer, template, &config, &generation, more_ends).map(Some)
    }

    /// Puts a tokenizer together with its configuration files.
    ///
    /// # Errors
    /// Text, if an end token is unknown to the tokenizer.
    pub(super) fn new(
        tokenizer: Tokenizer,
        template: Option<Template>,
        config: &Value,
        generation: &Value,
        more_ends: &[String],
    ) -> Result<Self, String> {
        let added = tokenizer.get_added_tokens_decoder();
        let escaper = Escaper::new(added.values())?;
        let names = TokenNames {
            bos: token_text(config, "bos_token"),
            eos: token_text(config, "eos_token"),
        };
        let mut ends: BTreeSet<u32> = tokenizer.token_to_id(&names.eos).into_iter().collect();
        ends.extend(
            added
                .iter()
                .filter(|(_, token)| ends_turn(token))
                .map(|(id, _)| *id),
        );
        match generation.get("eos_token_id") {
            Some(Value::Array(ids)) => ends.extend(ids.iter().filter_map(token_id)),
            Some(id) => ends.extend(token_id(id)),
            None => {}
        }
        for text in more_ends {
            let id = tokenizer.token_to_id(text);
            ends.insert(id.ok_or_else(|| {
                format!("model.toml: the tokenizer does not know the end token `{text}`")
            })?);
        }
        let leaves_thinking_open = template.as_ref().is_some_and(|template| {
            let opening = |thinking| opening(template, &names, thinking);
            opening(false).ends_with(NO_THOUGHT) && !opening(true).trim_end().ends_with(THINK)
        });
        Ok(Self {
            leaves_thinking_open,
            tokenizer,
            template,
            escaper,
            names,
            ends,
        })
    }

    /// The ids of a rendered prompt with [`CUT`] marks. The prompt holds its own beginning-of-text token.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub(super) fn encode_prompt(&self, rendered: &str) -> Result<Vec<u32>, String> {
        let mut ids = Vec::with_capacity(rendered.len() / 3);
        for piece in rendered.split(CUT).filter(|piece| !piece.is_empty()) {
            let encoding = self
                .tokenizer
                .encode_fast(piece, false)
                .map_err(|error| error.to_string())?;
            ids.extend_from_slice(encoding.get_ids());
        }
        Ok(ids)
    }

    /// The ids of raw text, with the beginning-of-text token where the tokenizer adds one.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub(super) fn encode_text(&self, text: &str) -> Result<Vec<u32>, String> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| error.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of text with [`CUT`] marks, with the tokens that the tokenizer puts around a text.
    ///
    /// # Errors
    /// The tokenizer's own words.
    pub(super) fn encode_passage(&self, text: &str) -> Result<Vec<u32>, String> {
        let encode = |piece| self.tokenizer.encode_fast(piece, false);
        let pieces: Result<Vec<Encoding>, _> = text
            .split(CUT)
            .filter(|piece| !piece.is_empty())
            .map(encode)
            .collect();
        let whole = pieces.and_then(|pieces| {
            self.tokenizer
                .post_process(Encoding::merge(pieces, false), None, true)
        });
        Ok(whole.map_err(|error| error.to_string())?.get_ids().to_vec())
    }

    /// Whether the vocabulary has this id.
    pub(super) fn knows(&self, id: u32) -> bool {
        self.tokenizer.id_to_token(id).is_some()
    }

    /// Ids that never show in an answer: the special tokens.
    pub(super) fn special(&self) -> HashSet<u32> {
        let added = self.tokenizer.get_added_tokens_decoder();
        added
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| *id)
            .collect()
    }

    /// The text of ids, special tokens included; an incomplete character is a replacement character.
    pub(super) fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, false).unwrap_or_default()
    }

    /// The texts of all added tokens: control tokens and those such as `<think>`.
    pub(super) fn added(&self) -> Vec<String> {
        let added = self.tokenizer.get_added_tokens_decoder();
        added.values().map(|token| token.content.clone()).collect()
    }
}

/// A prompt of the template; empty if it refuses it.
fn opening(template: &Template, names: &TokenNames, thinking: bool) -> String {
    let context = json!({
        "messages": [{"role": "user", "content": "?"}],
        "add_generation_prompt": true,
        "enable_thinking": thinking,
        "bos_token": names.bos,
        "eos_token": names.eos,
    });
    template.render(context).unwrap_or_default()
}

fn ends_turn(token: &AddedToken) -> bool {
    token.special && END_OF_TURN.contains(&token.content.as_str())
}

fn token_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// A token in `tokenizer_config.json`: a string, or an object with `content`.
fn token_text(config: &Value, key: &str) -> String {
    let token = config.get(key).unwrap_or(&Value::Null);
    token
        .as_str()
        .or_else(|| token.get("content")?.as_str())
        .unwrap_or_default()
        .to_owned()
}

/// A companion file; one that is missing or unreadable counts as empty, since all that it says is optional.
fn companion(path: &Path) -> Value {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "not JSON, ignored");
            Value::Null
        }),
        Err(_) => Value::Null,
    }
}
