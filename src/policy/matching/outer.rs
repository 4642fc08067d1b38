//! Which parts of a message speak for themselves, and which only quote.
//!
//! A request for a title carries the conversation, and that may be about prompts: it quotes the template for tags, in
//! code or in full. So phrases count outside of quoted blocks only.

use std::ops::Range;

/// Tags whose content is quoted. Such a block reaches from its first opening tag to its last closing one, because what
/// it quotes may hold the same tags.
pub(super) const QUOTED: [&str; 5] = [
    "chat_history",
    "context",
    "memory_context",
    "attached_files",
    "documents",
];

/// A tag that is looked for.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) quoted: bool,
}

/// `<name` or `</name>` in a text.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) tag: usize,
    pub(super) closing: bool,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Mark {
    /// Whether `<name` goes on as an opening tag does, and not as a longer name.
    fn opens(&self, text: &str) -> bool {
        let next = text.as_bytes().get(self.end);
        !self.closing && next.is_some_and(|byte| *byte == b'>' || byte.is_ascii_whitespace())
    }

    /// Whether nothing but white space stands before it in its line.
    fn begins_line(&self, text: &str) -> bool {
        let before = text.get(..self.start).unwrap_or_default();
        before
            .rsplit('\n')
            .next()
            .is_none_or(|line| line.trim().is_empty())
    }
}

/// The tags that have a block in this text.
pub(super) fn blocks(text: &str, tags: &[Tag], marks: &[Mark]) -> Vec<usize> {
    let has = |tag: &usize| block(text, marks, *tag, 0).is_some();
    (0..tags.len()).filter(has).collect()
}

/// The block of a tag that begins at `from` or later: from its first opening tag to its last closing one, both
/// included. An opening tag that begins a line is preferred: instructions may name the tag within a sentence.
fn block(
    text: &str,
    marks: &[Mark],
    tag: usize,
    from: usize,
) -> Option<(Range<usize>, Range<usize>)> {
    let of_tag = || {
        marks
            .iter()
            .filter(|mark| mark.tag == tag && mark.start >= from)
    };
    let close = of_tag().rfind(|mark| mark.closing)?;
    let opens = || of_tag().filter(|mark| mark.start < close.start && mark.opens(text));
    let open = opens()
        .find(|mark| mark.begins_line(text))
        .or_else(|| opens().next())?;
    let open_end = text.get(open.end..close.start)?.find('>')? + open.end + 1;
    Some((open.start..close.end, open_end..close.start))
}

/// The parts of a text.
#[derive(Debug)]
pub(super) struct Regions {
    /// Contents of quoted blocks, in order.
    quoted: Vec<Range<usize>>,
    /// Code fences and quotes outside of them, in order.
    cited: Vec<Range<usize>>,
    /// Where the last quoted block ends, its closing tag included.
    end: Option<usize>,
}

impl Regions {
    pub(super) fn of(text: &str, tags: &[Tag], marks: &[Mark]) -> Self {
        let mut quoted = Vec::new();
        let mut from = 0;
        let mut end = None;
        let next = |from: usize| {
            let kinds = tags.iter().enumerate().filter(|(_, tag)| tag.quoted);
            kinds
                .filter_map(|(tag, _)| block(text, marks, tag, from))
                .min_by_key(|(whole, _)| whole.start)
        };
        while let Some((whole, content)) = next(from) {
            from = whole.end;
            end = Some(whole.end);
            quoted.push(content);
        }
        let cited = cited(text, &quoted);
        Self { quoted, cited, end }
    }

    /// Whether this place is outside of quoted blocks.
    pub(super) fn shows(&self, place: &Range<usize>) -> bool {
        !touches(&self.quoted, place)
    }

    /// Whether this place is behind the last quoted block.
    pub(super) fn is_behind(&self, place: &Range<usize>) -> bool {
        self.end.is_some_and(|end| end <= place.start)
    }

    /// Whether this place is outside of quoted blocks, code fences and quotes.
    pub(super) fn is_outer(&self, place: &Range<usize>) -> bool {
        self.shows(place) && !touches(&self.cited, place)
    }
}

fn touches(ranges: &[Range<usize>], place: &Range<usize>) -> bool {
    let first = ranges.partition_point(|range| range.end <= place.start);
    ranges
        .get(first)
        .is_some_and(|range| range.start < place.end)
}

/// Code fences and lines of `>` quotes; lines within quoted blocks are not looked at. A fence that is not closed
/// reaches to the end.
fn cited(text: &str, quoted: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut cited = Vec::new();
    let mut fence: Option<(&str, usize)> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let place = start..start + line.len();
        start = place.end;
        if touches(quoted, &(place.start..place.start + 1)) {
            continue;
        }
        let body = line.trim_start_matches(' ');
        let indent = line.len() - body.len();
        match fence {
            Some((marker, opened)) if indent < 4 && closes(body, marker) => {
                cited.push(opened..place.end);
                fence = None;
            }
            None if indent < 4 => {
                if let Some(marker) = opening_fence(body) {
                    fence = Some((marker, place.start));
                } else if body.starts_with('>') {
                    cited.push(place);
                }
            }
            Some(_) | None => {}
        }
    }
    cited.extend(fence.map(|(_, opened)| opened..text.len()));
    cited
}

/// The run of back quotes or tildes that opens a fence.
fn opening_fence(line: &str) -> Option<&str> {
    let char = line
        .chars()
        .next()
        .filter(|char| matches!(char, '`' | '~'))?;
    let rest = line.trim_start_matches(char);
    let marker = line.get(..line.len() - rest.len())?;
    // Back quotes after it make it code within a line.
    (marker.len() >= 3 && !(char == '`' && rest.contains('`'))).then_some(marker)
}

fn closes(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| {
        let same = marker.chars().next().unwrap_or('`');
        rest.trim_start_matches(same).trim().is_empty()
    })
}
