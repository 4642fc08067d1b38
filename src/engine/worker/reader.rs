//! Prompts as the worker reads them, without a worker: for tools that show them. The gateway itself counts nothing.

use std::{borrow::Cow, cell::RefCell};

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Serialize;

use super::{escape::CUT, memory::Memory, prepare, reusable, tokenizer::ModelTokenizer};
use crate::{chat, engine::catalog::ModelCard};

/// A model's tokenizer and chat template.
#[derive(Debug)]
pub struct PromptReader {
    tokenizer: ModelTokenizer,
    added: AhoCorasick,
    memory: RefCell<Memory>,
    /// Whether the model thinks unless it is told not to.
    thinks: bool,
}

/// A prompt as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPrompt {
    /// Its text, in order.
    pub pieces: Vec<PromptPiece>,
    /// Its ids.
    pub ids: Vec<u32>,
    /// Whether it ends inside a think block.
    pub thinking_opened: bool,
}

/// A piece of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PromptPiece {
    /// Its text.
    pub text: String,
    /// What it is to the model.
    pub kind: PieceKind,
}

/// What a piece of a prompt is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PieceKind {
    /// Text.
    Text,
    /// A token with a meaning of its own, such as `<|im_end|>` or `<think>`.
    Control,
    /// Text of the client that is spelt like such a token and is none.
    Lookalike,
}

impl PromptReader {
    /// Reads a model's tokenizer and template; `None` where one of them is missing.
    ///
    /// # Errors
    /// Text that names the file and what is wrong with it.
    pub fn open(card: &ModelCard) -> Result<Option<Self>, String> {
        let opened = ModelTokenizer::open(&card.tokenizer_dir, &card.manifest.eos)?;
        let Some(tokenizer) = opened.filter(|tokenizer| tokenizer.template.is_some()) else {
            return Ok(None);
        };
        let texts = tokenizer.added();
        let added = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(texts.iter().filter(|text| !text.trim().is_empty()))
            .map_err(|error| format!("too many added tokens: {error}"))?;
        Ok(Some(Self {
            tokenizer,
            added,
            memory: RefCell::default(),
            thinks: card.thinking,
        }))
    }

    /// The prompt of a request. Answers that [`Self::answer`] was asked about stand in it as the model said them.
    ///
    /// # Errors
    /// What the worker would say: the template's complaint, or what has no place in a prompt for this model.
    pub fn read(&self, request: &chat::Request) -> Result<ReadPrompt, String> {
        let template = self.tokenizer.template.as_ref();
        let template = template.ok_or("the model has no chat template")?;
        let memory = &mut self.memory.borrow_mut();
        let rendered = prepare::chat(&self.tokenizer, template, &self.told(request), memory)?;
        Ok(ReadPrompt {
            pieces: self.pieces(&rendered.text),
            ids: rendered.ids,
            thinking_opened: rendered.thinking_opened,
        })
    }

    /// The ids of an answer as the model will have written it behind the prompt of `request`.
    ///
    /// # Errors
    /// The template's complaint.
    pub fn answer(
        &self,
        request: &chat::Request,
        answer: &chat::Message,
    ) -> Result<Vec<u32>, String> {
        let template = self.tokenizer.template.as_ref();
        let template = template.ok_or("the model has no chat template")?;
        let request = &self.told(request);
        let ids = prepare::answer(&self.tokenizer, template, request, answer)?;
        let memory = &mut self.memory.borrow_mut();
        let asked = prepare::chat(&self.tokenizer, template, request, memory)?;
        if let Some(awaited) = asked.awaited {
            let thought = answer.reasoning.is_some();
            awaited.keep_message(answer, thought, &ids, &self.tokenizer.ends, memory);
        }
        Ok(ids)
    }

    /// The request as the engine passes it on.
    fn told<'r>(&self, request: &'r chat::Request) -> Cow<'r, chat::Request> {
        let mut request = Cow::Borrowed(request);
        if request.thinking.is_none() && self.thinks {
            request.to_mut().thinking = Some(true);
        }
        request
    }

    /// The text of ids, special tokens included.
    #[must_use]
    pub fn text(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids)
    }

    /// Tokens at the beginning of a prompt that the model need not compute again when it has read `kv` before.
    #[must_use]
    pub fn reusable(kv: &[u32], prompt: &[u32]) -> u32 {
        reusable(kv, prompt)
    }

    fn pieces(&self, marked: &str) -> Vec<PromptPiece> {
        let mut text = String::with_capacity(marked.len());
        let mut cuts = Vec::new();
        for piece in marked.split(CUT) {
            text.push_str(piece);
            cuts.push(text.len());
        }
        let mut pieces = Vec::new();
        let mut push = |range: std::ops::Range<usize>, kind| {
            if let Some(text) = text.get(range).filter(|text| !text.is_empty()) {
                let text = text.to_owned();
                pieces.push(PromptPiece { text, kind });
            }
        };
        let mut at = 0;
        for found in self.added.find_iter(&text) {
            let is_cut = |cut: &usize| found.start() < *cut && *cut < found.end();
            let kind = if cuts.iter().any(is_cut) {
                PieceKind::Lookalike
            } else {
                PieceKind::Control
            };
            push(at..found.start(), PieceKind::Text);
            push(found.range(), kind);
            at = found.end();
        }
        push(at..text.len(), PieceKind::Text);
        pieces
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use serde_json::json;

    use super::*;
    use crate::{engine::catalog::Catalog, wire::openai};

    fn reader() -> PromptReader {
        let dir = tempfile::tempdir().unwrap();
        rkllm_sim::shipped::install(dir.path()).unwrap();
        let catalog = Catalog::scan(dir.path());
        PromptReader::open(catalog.find("qwen3-1.7b").unwrap())
            .unwrap()
            .unwrap()
    }

    fn request(thinking: Option<bool>, messages: serde_json::Value) -> chat::Request {
        let body = json!({"model": "m", "messages": messages, "enable_thinking": thinking});
        openai::decode_chat(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_a_client_spells_like_a_control_token_is_told_apart() {
        let prompt = reader().read(&request(
            Some(false),
            json!([
                {"role": "user", "content": "a<|im_end|>b <"},
            ]),
        ));
        let prompt = prompt.unwrap();
        let told: Vec<_> = prompt
            .pieces
            .iter()
            .map(|piece| (piece.text.as_str(), piece.kind))
            .collect();
        assert_eq!(
            told.get(..6).unwrap(),
            [
                ("<|im_start|>", PieceKind::Control),
                ("user\na", PieceKind::Text),
                ("<|im_end|>", PieceKind::Lookalike),
                ("b <", PieceKind::Text),
                ("<|im_end|>", PieceKind::Control),
                ("\n", PieceKind::Text),
            ]
        );
    }

    #[test]
    fn a_prompt_and_its_answer_are_the_beginning_of_the_next_prompt() {
        let reader = reader();
        let call = json!({"role": "assistant", "content": "", "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}]});
        let question = json!({"role": "user", "content": "What time is it?"});
        let result = json!({"role": "tool", "tool_call_id": "1", "content": "noon"});
        let read = |thinking| {
            let first = request(thinking, json!([question]));
            let second = request(thinking, json!([question, call, result]));
            let mut kv = reader.read(&first).unwrap().ids;
            kv.extend(reader.answer(&first, &second.messages[1]).unwrap());
            let next = reader.read(&second).unwrap().ids;
            let common = PromptReader::reusable(&kv, &next) as usize;
            reader.text(&kv[common..])
        };
        assert_eq!(read(None), "");
        // The template of Qwen3 writes an empty think block before an answer, and would leave it out of later prompts.
        assert_eq!(read(Some(false)), "");
    }
}
