//! What is wrong with a configuration, a rule file or a policy file: problems as data, with their places in the
//! sources, for terminals and tools.

mod excerpt;

use std::{fmt, ops::Range};

use codespan_reporting::{
    diagnostic::{Diagnostic, Label, Severity},
    files::{Files, SimpleFiles},
    term,
};
use serde::Serialize;

use excerpt::Excerpts;

/// A range of bytes; see [`Sources`] for its origin.
pub(crate) type Span = Range<usize>;

/// Every text that was read, laid out one after the other, so that one span says both in which
/// source and where in it.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    sources: Vec<Source>,
}

#[derive(Debug, Clone)]
struct Source {
    name: String,
    text: String,
    base: usize,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Sources {
    /// Adds a source and returns where its spans begin.
    pub(crate) fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> usize {
        // The gap keeps an empty span at one source's end from being one at the next one's start.
        let base = self
            .sources
            .last()
            .map_or(0, |last| last.base + last.text.len() + 1);
        let text = text.into();
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        self.sources.push(Source {
            name: name.into(),
            lines: std::iter::once(0).chain(after_breaks).collect(),
            text,
            base,
        });
        base
    }

    /// The line of the source in which a span begins, from 1.
    pub(crate) fn line(&self, span: &Span) -> u32 {
        let line = self.locate(span).and_then(|(index, span)| {
            let source = self.sources.get(index)?;
            Some(source.lines.partition_point(|start| *start <= span.start))
        });
        line.and_then(|line| u32::try_from(line).ok()).unwrap_or(1)
    }

    /// The source's number and the range within it.
    pub(crate) fn locate(&self, span: &Span) -> Option<(usize, Span)> {
        let index = self
            .sources
            .iter()
            .rposition(|source| source.base <= span.start)?;
        let source = self.sources.get(index)?;
        let inside = |at: usize| (at - source.base).min(source.text.len());
        Some((index, inside(span.start)..inside(span.end.max(span.start))))
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Problem {
    code: &'static str,
    severity: Severity,
    message: String,
    labels: Vec<(Span, String)>,
    help: Vec<String>,
}

impl Problem {
    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: Vec::new(),
        }
    }

    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// Points at the place; a default has none.
    pub(crate) fn at(mut self, span: Option<Span>, label: impl Into<String>) -> Self {
        self.labels.extend(span.map(|span| (span, label.into())));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Where it begins, for sorting.
    pub(crate) fn place(&self) -> Option<usize> {
        self.labels.first().map(|(span, _)| span.start)
    }

    /// Whether rkgate cannot run with it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Problems together with the sources they point into.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The problems, in the order of their places.
    pub problems: Vec<Problem>,
    pub(crate) sources: Sources,
}

/// A problem as tools read it. Lines and columns count from 1, columns in characters.
#[derive(Debug, Serialize)]
struct Record<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    places: Vec<Place<'a>>,
    help: &'a [String],
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    label: &'a str,
}

impl Report {
    /// Whether rkgate cannot run with this.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }

    /// Other problems in the same sources.
    pub(crate) fn with(&self, problems: Vec<Problem>) -> Self {
        Self {
            problems,
            sources: self.sources.clone(),
        }
    }

    /// The problems of several reports as one JSON array.
    ///
    /// # Errors
    /// When a value cannot be written as JSON, which none of ours can cause.
    pub fn to_json(reports: &[Self]) -> Result<String, serde_json::Error> {
        let files: Vec<_> = reports
            .iter()
            .map(|report| (report, report.files()))
            .collect();
        let records: Vec<Record> = files
            .iter()
            .flat_map(|(report, files)| {
                let problems = report.problems.iter();
                problems.map(|problem| report.record(files, problem))
            })
            .collect();
        serde_json::to_string_pretty(&records)
    }

    fn record<'a>(&'a self, files: &SimpleFiles<&str, &str>, problem: &'a Problem) -> Record<'a> {
        let place = |(span, label): &'a (Span, String)| {
            let (id, span) = self.sources.locate(span)?;
            let start = files.location(id, span.start).ok()?;
            let end = files.location(id, span.end).ok()?;
            Some(Place {
                file: &self.sources.sources.get(id)?.name,
                line: start.line_number,
                column: start.column_number,
                end_line: end.line_number,
                end_column: end.column_number,
                label,
            })
        };
        Record {
            code: problem.code,
            severity: if problem.is_error() {
                "error"
            } else {
                "warning"
            },
            message: &problem.message,
            places: problem.labels.iter().filter_map(place).collect(),
            help: &problem.help,
        }
    }

    fn files(&self) -> SimpleFiles<&str, &str> {
        let mut files = SimpleFiles::new();
        for source in &self.sources.sources {
            files.add(source.name.as_str(), source.text.as_str());
        }
        files
    }

    /// A problem as the terminal shows it; `place` finds the file of a span and where in it the span is.
    fn diagnostic(
        &self,
        problem: &Problem,
        mut place: impl FnMut(usize, Span) -> (usize, Span),
    ) -> Diagnostic<usize> {
        let labels = problem
            .labels
            .iter()
            .enumerate()
            .filter_map(|(n, (span, text))| {
                let (id, span) = self.sources.locate(span)?;
                let (id, span) = place(id, span);
                let label = if n == 0 {
                    Label::primary(id, span)
                } else {
                    Label::secondary(id, span)
                };
                Some(label.with_message(text))
            });
        Diagnostic::new(problem.severity)
            .with_code(problem.code)
            .with_message(&problem.message)
            .with_labels(labels.collect())
            .with_notes(
                problem
                    .help
                    .iter()
                    .map(|help| format!("help: {help}"))
                    .collect(),
            )
    }
}

/// Each problem with its lines, carets and hints.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let files = self.files();
        let config = term::Config::default();
        for problem in &self.problems {
            let long = |(span, _): &(Span, String)| {
                let (id, span) = self.sources.locate(span)?;
                let source = self.sources.sources.get(id)?;
                Some(excerpt::is_needed(&source.text, &span))
            };
            let text = if problem.labels.iter().filter_map(long).any(|long| long) {
                let mut excerpts = Excerpts::default();
                let diagnostic = self.diagnostic(problem, |id, span| {
                    let source = self.sources.sources.get(id);
                    let (name, text) =
                        source.map_or(("", ""), |source| (&source.name, &source.text));
                    excerpts.add(name, text, &span)
                });
                term::emit_into_string(&config, &excerpts, &diagnostic)
            } else {
                let diagnostic = self.diagnostic(problem, |id, span| (id, span));
                term::emit_into_string(&config, &files, &diagnostic)
            };
            f.write_str(&text.map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// White space before a text that was added at `base`, so that a parser's spans are those of [`Sources`].
pub(crate) fn padded(base: usize, text: &str) -> String {
    " ".repeat(base) + text
}

/// The name that was probably meant.
pub(crate) fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(name, known);
    let best = known
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= 0.5).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_neighbourhood_of_a_fault_in_a_long_line_is_shown() {
        let long = format!("{{\n{}\u{e9}!{}\n}}", "a".repeat(1000), "b".repeat(1000));
        let at = long.find('!').unwrap_or_default();
        let mut sources = Sources::default();
        sources.add("other", "x");
        let base = sources.add("request.json", long);
        let problem = Problem::error("R001", "this is not JSON");
        let report = Report {
            problems: vec![problem.at(Some(base + at..base + at + 1), "here")],
            sources,
        };
        let shown = format!(
            "\
error[R001]: this is not JSON
  \u{250c}\u{2500} request.json:2:1002
  \u{2502}
2 \u{2502} ...{}\u{e9}!{}...
  \u{2502} {}^ here

",
            "a".repeat(58),
            "b".repeat(60),
            " ".repeat(62)
        );
        assert_eq!(report.to_string(), shown);
    }
}
