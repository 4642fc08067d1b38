//! `shorten`: a long system prompt keeps what counts.

use super::{Description, Example, Operation};
use crate::{
    chat::Role,
    policy::{
        Rewriter,
        context::Context,
        file::{
            keys::{Key, Kind},
            table::Table,
        },
        prose::{self, Padding},
    },
    problem::Problem,
};

/// Blocks that are not the prompt's own words.
const BLOCKS: [&str; 9] = [
    "context",
    "source",
    "documents",
    "memory_context",
    "user_context",
    "attached_files",
    "tools",
    "available_tools",
    "functions",
];

/// What people write into system prompts that no small model answers better for.
const PADDING: [&str; 48] = [
    "helpful assistant",
    "helpful ai assistant",
    "incredibly helpful",
    "extremely helpful",
    "helpful, respectful",
    "helpful, harmless",
    "highly knowledgeable",
    "extremely knowledgeable",
    "knowledgeable and",
    "vast knowledge",
    "wealth of knowledge",
    "wide range of topics",
    "state-of-the-art",
    "cutting-edge",
    "world-class",
    "world's best",
    "years of experience",
    "passionate about",
    "dedicated to",
    "committed to",
    "take a deep breath",
    "think carefully",
    "best possible",
    "best of your ability",
    "to the best of",
    "strive to",
    "strive for",
    "you excel at",
    "excels at",
    "your goal is to be",
    "your mission is to be",
    "always be polite",
    "always be friendly",
    "always be respectful",
    "be friendly and",
    "be polite and",
    "friendly and professional",
    "warm and",
    "empathetic",
    "engaging and",
    "insightful",
    "delightful",
    "feel free to",
    "important to my career",
    "high-quality responses",
    "accurate and helpful",
    "thoughtful and",
    "trusted companion",
];

pub(super) const DESCRIPTION: Description = Description {
    name: "shorten",
    summary: "Makes a system prompt shorter that is over a token limit.",
    details: "First padding goes: sentences that praise the model or ask it to do its best. If that is not enough, \
sentences from the middle outward, until the prompt fits. The first and the last sentence stay, and so does every \
sentence that holds a constraint, a format or a name (capitals, digits, quotes, code), even if the prompt remains too \
long. RAG, memory and tool blocks and code fences are neither touched nor counted. The trace says what was dropped. \
Without `max_tokens` the limit is the model's `system.max_tokens`.",
    keys: &[
        Key::optional("max_tokens", Kind::Integer(1, 1_000_000), "The limit."),
        Key::optional(
            "padding",
            Kind::Texts,
            "More phrases that mark a sentence as padding.",
        ),
    ],
    examples: &[
        Example {
            title: "what counts stays",
            rule: r#"op = "shorten"
max_tokens = 30"#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "system", "content": "You are an incredibly helpful and highly knowledgeable assistant. You explain things. You enjoy talking to people from every walk of life. Your answers are a pleasure to read. Never give medical advice.\nReply in JSON.\n<memory_context>\n- You are a helpful assistant.\n</memory_context>\nYou end well."},
  {"role": "user", "content": "Hello"}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "You explain things. Never give medical advice.\nReply in JSON.\n<memory_context>\n- You are a helpful assistant.\n</memory_context>\nYou end well."},
  {"role": "user", "content": "Hello"}]}"#,
        },
        Example {
            title: "a short one is left alone",
            rule: r#"op = "shorten"
max_tokens = 30"#,
            class: "chat",
            before: r#"{"messages": [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Hello"}]}"#,
            after: r#"{"messages": [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Hello"}]}"#,
        },
    ],
    sets: None,
    compile,
};

#[derive(Debug)]
struct Shorten {
    max_tokens: Option<u32>,
    padding: Padding,
}

fn compile(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    let own = table.texts("padding");
    let own = own
        .iter()
        .map(|(phrase, _)| *phrase)
        .filter(|phrase| !phrase.trim().is_empty());
    let phrases: Vec<&str> = PADDING.into_iter().chain(own).collect();
    match Padding::new(&phrases) {
        Ok(padding) => Some(Box::new(Shorten {
            max_tokens: table
                .count("max_tokens")
                .and_then(|tokens| u32::try_from(tokens).ok()),
            padding,
        })),
        Err(error) => {
            problems.push(
                Problem::error("P003", format!("these are too many phrases: {error}"))
                    .at(Some(table.place("padding")), "")
                    .help("take phrases away that others contain"),
            );
            None
        }
    }
}

impl Operation for Shorten {
    fn apply(&self, request: &mut Rewriter<'_>, context: &Context<'_>) {
        let Some(limit) = self.max_tokens.or(context.settings.system_tokens) else {
            request.leave("the model's policy has no `system.max_tokens`");
            return;
        };
        for index in 0..request.len() {
            if request
                .message(index)
                .is_none_or(|message| message.role != Role::System)
            {
                continue;
            }
            let text = request.text(index);
            let tokens = |text: &str| context.text_tokens(text);
            // Pieces are rounded up one by one, so that the whole is at most as long as their sum.
            if tokens(&text) <= limit {
                continue;
            }
            let mut dropped = Vec::new();
            let mut short: Option<String> = None;
            // What is joined anew may be padding; each round is shorter than the one before.
            while let Some(shorter) = self.shorter(
                short.as_deref().unwrap_or(&text),
                limit,
                &tokens,
                &mut dropped,
            ) {
                short = Some(shorter);
            }
            if let Some(short) = short {
                request.set_text(index, short, report(&dropped));
            } else {
                request.leave("every sentence of the system prompt counts");
            }
        }
    }
}

/// A sentence, or a stretch that is not to be touched.
struct Piece<'a> {
    text: &'a str,
    fixed: bool,
    kept: bool,
}

impl Shorten {
    /// `None` where it fits or nothing more can go.
    fn shorter(
        &self,
        text: &str,
        limit: u32,
        tokens: &dyn Fn(&str) -> u32,
        dropped: &mut Vec<String>,
    ) -> Option<String> {
        let mut pieces = pieces(text);
        let own = |pieces: &[Piece<'_>]| -> u32 {
            let own = pieces.iter().filter(|piece| piece.kept && !piece.fixed);
            own.map(|piece| tokens(piece.text)).sum()
        };
        let mut length = own(&pieces);
        if length <= limit {
            return None;
        }
        let drop = |piece: &mut Piece<'_>, dropped: &mut Vec<String>| {
            piece.kept = false;
            dropped.push(piece.text.trim().to_owned());
        };
        for piece in pieces.iter_mut().filter(|piece| !piece.fixed) {
            if self
                .padding
                .without(piece.text)
                .is_some_and(|rest| rest.is_empty())
            {
                drop(piece, dropped);
            }
        }
        if pieces.iter().all(|piece| piece.fixed || !piece.kept) {
            // A prompt of nothing but praise keeps its first sentence.
            let first = pieces.iter_mut().find(|piece| !piece.fixed)?;
            first.kept = true;
            let first = first.text.trim().to_owned();
            dropped.retain(|sentence| *sentence != first);
        }
        length = own(&pieces).min(length);
        let mut order: Vec<usize> = (0..pieces.len())
            .filter(|index| {
                pieces
                    .get(*index)
                    .is_some_and(|piece| piece.kept && !piece.fixed)
            })
            .collect();
        let count = order.len();
        let ends = |place: usize| place.min(count - 1 - place);
        let mut inner: Vec<(usize, usize)> = order
            .drain(..)
            .enumerate()
            .filter(|(place, _)| ends(*place) > 0)
            .collect();
        inner.sort_by_key(|(place, _)| std::cmp::Reverse(ends(*place)));
        for (_, index) in inner {
            if length <= limit {
                break;
            }
            match pieces.get_mut(index) {
                Some(piece) if !prose::carries(piece.text) => {
                    length -= tokens(piece.text).min(length);
                    drop(piece, dropped);
                }
                _ => {}
            }
        }
        if pieces.iter().all(|piece| piece.kept) {
            return None;
        }
        let mut short = String::with_capacity(text.len());
        for piece in &pieces {
            match piece.kept {
                true => short.push_str(piece.text),
                false => prose::leave_out(&mut short, piece.text),
            }
        }
        short.truncate(short.trim_end().len());
        (short.len() < text.len()).then_some(short)
    }
}

/// Sentences of the prompt's own words; blocks, code fences and prompts that offer tools are fixed.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut fixed: Vec<std::ops::Range<usize>> = BLOCKS
        .iter()
        .filter_map(|tag| prose::outer_block(text, tag))
        .map(|block| block.whole)
        .collect();
    fixed.extend(text.find("Available Tools:").map(|start| start..text.len()));
    // A RAG template belongs to its context.
    if let (Some(task), Some(block)) = (text.find("### Task:"), prose::outer_block(text, "context"))
    {
        fixed.push(task..block.whole.end);
    }
    fixed.sort_by_key(|range| range.start);
    let mut pieces = Vec::new();
    let mut add = |text, fixed| {
        pieces.push(Piece {
            text,
            fixed,
            kept: true,
        });
    };
    let mut at = 0;
    for range in fixed
        .into_iter()
        .chain(std::iter::once(text.len()..text.len()))
    {
        if range.start >= at {
            for sentence in prose::sentences(text.get(at..range.start).unwrap_or_default()) {
                add(sentence, sentence.starts_with("```"));
            }
        }
        // White space behind a block stays with it.
        let from = at.max(range.start);
        let rest = text.get(range.end.max(at)..).unwrap_or_default();
        let end = range.end.max(at) + rest.len() - rest.trim_start().len();
        if from < end {
            add(text.get(from..end).unwrap_or_default(), true);
        }
        at = end;
    }
    pieces
}

/// Sentences that the trace shows in full.
const SHOWN: usize = 6;

fn report(dropped: &[String]) -> String {
    let shown: Vec<String> = dropped
        .iter()
        .take(SHOWN)
        .map(|sentence| match prose::cut(sentence, 80, "...") {
            Some(short) => format!("\"{short}\""),
            None => format!("\"{sentence}\""),
        })
        .collect();
    let more = match dropped.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("dropped {}{more}", shown.join(", "))
}
