//! Problems in very long lines, such as a whole request on one: only what is around the fault is shown.

use std::ops::Range;

use codespan_reporting::files::{Error, Files};

/// Longer lines are not shown whole; bytes.
const LONG: usize = 240;
/// Bytes shown before and behind the fault.
const AROUND: usize = 60;
/// Stands for what is left out.
const CUT: &str = "...";

/// Pieces of lines, each a file of one line that knows where it stands.
#[derive(Debug, Default)]
pub(super) struct Excerpts(Vec<Excerpt>);

#[derive(Debug)]
struct Excerpt {
    name: String,
    text: String,
    /// Line in the source, from 1.
    line: usize,
    /// Characters of the line that are left out before the text.
    left_out: usize,
}

/// Whether a fault stands in a line that is too long to be shown.
pub(super) fn is_needed(text: &str, span: &Range<usize>) -> bool {
    line(text, span).len() > LONG
}

impl Excerpts {
    /// Cuts out what is around a fault: the number of the excerpt and where in it the fault stands.
    pub(super) fn add(
        &mut self,
        name: &str,
        text: &str,
        span: &Range<usize>,
    ) -> (usize, Range<usize>) {
        let line = line(text, span);
        let end = span.end.clamp(span.start, line.end).min(span.start + LONG);
        let from = boundary(text, span.start.saturating_sub(AROUND).max(line.start));
        let to = boundary(text, (end + AROUND).min(line.end));
        let end = boundary(text, end).max(span.start);
        let before = if from > line.start { CUT } else { "" };
        let behind = if to < line.end { CUT } else { "" };
        let piece = |range: Range<usize>| text.get(range).unwrap_or_default();
        self.0.push(Excerpt {
            name: name.to_owned(),
            text: format!("{before}{}{behind}", piece(from..to)),
            line: piece(0..line.start).matches('\n').count() + 1,
            left_out: piece(line.start..from)
                .chars()
                .count()
                .saturating_sub(before.len()),
        });
        let shift = |at: usize| at - from + before.len();
        (self.0.len() - 1, shift(span.start)..shift(end))
    }

    fn get(&self, id: usize) -> Result<&Excerpt, Error> {
        self.0.get(id).ok_or(Error::FileMissing)
    }
}

/// The line in which a fault begins, without its end.
fn line(text: &str, span: &Range<usize>) -> Range<usize> {
    let at = span.start.min(text.len());
    let start = text.get(..at).and_then(|before| before.rfind('\n'));
    let end = text.get(at..).and_then(|behind| behind.find('\n'));
    start.map_or(0, |start| start + 1)..end.map_or(text.len(), |end| at + end)
}

fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl<'a> Files<'a> for Excerpts {
    type FileId = usize;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(&self.get(id)?.name)
    }

    fn source(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(&self.get(id)?.text)
    }

    fn line_index(&'a self, _: usize, _: usize) -> Result<usize, Error> {
        Ok(0)
    }

    fn line_number(&'a self, id: usize, _: usize) -> Result<usize, Error> {
        Ok(self.get(id)?.line)
    }

    fn column_number(&'a self, id: usize, _: usize, at: usize) -> Result<usize, Error> {
        let excerpt = self.get(id)?;
        let before = excerpt.text.get(..at).unwrap_or(&excerpt.text);
        Ok(excerpt.left_out + before.chars().count() + 1)
    }

    fn line_range(&'a self, id: usize, _: usize) -> Result<Range<usize>, Error> {
        Ok(0..self.get(id)?.text.len())
    }
}
