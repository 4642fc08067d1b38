//! Blocks between tags, such as `<chat_history>...</chat_history>`.

use std::ops::Range;

/// A block between an opening and a closing tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// From the opening tag's `<` to behind the closing tag.
    pub(crate) whole: Range<usize>,
    /// What stands between the tags.
    pub(crate) inside: Range<usize>,
}

/// The blocks of one tag, one after the other. Attributes in the opening tag do not matter; a block that is not closed
/// is none.
pub(crate) fn blocks(text: &str, tag: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(block) = next(text, tag, at) {
        at = block.whole.end;
        found.push(block);
    }
    found
}

/// The block from the first opening tag to the last closing one: what it quotes may hold the same tags. An opening tag
/// that begins a line is preferred, because instructions name tags within a sentence.
pub(crate) fn outer_block(text: &str, tag: &str) -> Option<Block> {
    let close = format!("</{tag}>");
    let end = text.rfind(&close)?;
    let mut opened = None;
    let mut at = 0;
    while let Some((start, inside)) = open(text, tag, at).filter(|(_, inside)| *inside <= end) {
        at = inside;
        let begins_line = text
            .get(..start)
            .is_some_and(|before| before.is_empty() || before.ends_with('\n'));
        if begins_line || opened.is_none() {
            opened = Some((start, inside));
        }
        if begins_line {
            break;
        }
    }
    let (start, inside) = opened?;
    Some(Block {
        whole: start..end + close.len(),
        inside: inside..end,
    })
}

fn next(text: &str, tag: &str, from: usize) -> Option<Block> {
    let (start, inside) = open(text, tag, from)?;
    let close = format!("</{tag}>");
    let end = inside + text.get(inside..)?.find(&close)?;
    Some(Block {
        whole: start..end + close.len(),
        inside: inside..end,
    })
}

/// Where an opening tag begins and where it ends.
fn open(text: &str, tag: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find('<')?;
        at = start + 1;
        let Some(rest) = text.get(at..)?.strip_prefix(tag) else {
            continue;
        };
        // `<text>` and `<text id="1">`, but neither `<textarea>` nor a tag that runs over a line's end.
        if !rest.starts_with(['>', ' ']) {
            continue;
        }
        let Some(end) = rest.find(['>', '\n']) else {
            continue;
        };
        if rest.as_bytes().get(end) == Some(&b'>') {
            return Some((start, at + tag.len() + end + 1));
        }
    }
}
