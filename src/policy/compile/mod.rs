//! From rule and policy files to a [`Set`]: everything that is wrong with them is found here, all at once.

mod condition;
mod conflicts;
mod document;
mod lint;
mod policies;
mod redaction;
mod rules;
mod sampling;

use std::sync::Arc;

pub(super) use document::Item;

use super::{
    Set,
    cases::Case,
    matching::{Phrases, PhrasesBuilder},
    redaction::Case as RedactionCase,
    set::Rules,
};
use crate::problem::{Problem, Report, Sources, Span, closest};

#[cfg(test)]
mod tests;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path, for messages and traces.
    pub path: Arc<str>,
    /// What is in it.
    pub text: String,
    /// Whether it is a policy file; a rule file otherwise.
    pub is_policy: bool,
    /// Whether it is one of those that ship with rkgate, as it ships.
    pub is_shipped: bool,
}

/// The board, where policies differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Platform {
    /// RK3588 and RK3588S.
    #[default]
    Rk3588,
    /// RK3576.
    Rk3576,
}

impl Platform {
    /// Every board.
    pub const ALL: [Self; 2] = [Self::Rk3588, Self::Rk3576];

    /// The platform of a chip such as `rk3588s`; the default where it is another one or none.
    #[must_use]
    pub fn of_chip(chip: Option<&str>) -> Self {
        let chip = chip.unwrap_or_default();
        let named = |platform: &Self| chip.starts_with(platform.as_str());
        Self::ALL.into_iter().find(named).unwrap_or_default()
    }

    /// Its name in policy files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rk3588 => "rk3588",
            Self::Rk3576 => "rk3576",
        }
    }
}

/// A set without errors.
#[derive(Debug)]
pub struct Compiled {
    /// The set.
    pub set: Set,
    /// What is odd about it; often empty.
    pub warnings: Report,
    pub(super) cases: Vec<Case>,
    pub(super) redaction_cases: Vec<RedactionCase>,
}

impl Set {
    /// Compiles files, which come in the order in which they are to be read.
    ///
    /// # Errors
    /// The report of all problems, where one of them is an error.
    pub fn compile(files: &[Source], platform: Platform) -> Result<Compiled, Report> {
        let mut sources = Sources::default();
        let mut problems = Vec::new();
        let texts = document::Texts::new(files, &mut sources);
        let document = document::read(files, &texts, platform.as_str(), &sources, &mut problems);
        let mut compiler = Compiler {
            phrases: PhrasesBuilder::default(),
            label_uses: Vec::new(),
            problems: &mut problems,
        };
        let rules = rules::compile(&document.items, &mut compiler);
        let policies = policies::compile(&document.items, &mut compiler);
        compiler.check_labels(&rules);
        let redaction = redaction::compile(&document.items, compiler.problems);
        let tested = tested(&document.items, files);
        let cases = Case::compile(&of_kind(&tested, "test"), compiler.problems);
        let redaction_cases = redaction::cases(&of_kind(&tested, "redact"));
        let phrases = compiler.finish();
        lint::check(&rules, &policies, files, &mut problems);
        problems.sort_by_key(Problem::place);
        let report = Report { problems, sources };
        match phrases {
            Some(phrases) if !report.has_errors() => Ok(Compiled {
                set: Set {
                    generation: 0,
                    phrases,
                    rules,
                    policies,
                    redaction: Arc::new(redaction),
                },
                warnings: report,
                cases,
                redaction_cases,
            }),
            _ => Err(report),
        }
    }
}

/// What the tables of these files are called by, whichever board they are for.
pub(super) fn ids(files: &[Source]) -> Vec<String> {
    let mut sources = Sources::default();
    let texts = document::Texts::new(files, &mut sources);
    let of = |platform: Platform| {
        // Told when the files are compiled.
        let mut problems = Vec::new();
        document::read(files, &texts, platform.as_str(), &sources, &mut problems).items
    };
    let items = Platform::ALL.into_iter().flat_map(of);
    items.map(|item| item.id).collect()
}

/// The tables whose tests are to run. Those of shipped files are about the shipped set: a user who changes one of its
/// rules on purpose is not to be told so by its tests.
fn tested<'i, 'a>(items: &'i [Item<'a>], files: &[Source]) -> Vec<&'i Item<'a>> {
    let own: Vec<&Arc<str>> = files
        .iter()
        .filter(|file| !file.is_shipped)
        .map(|file| &file.path)
        .collect();
    items
        .iter()
        .filter(|item| own.is_empty() || own.contains(&&item.origin.file))
        .collect()
}

fn of_kind<'i, 'a>(items: &[&'i Item<'a>], kind: &str) -> Vec<&'i Item<'a>> {
    let items = items.iter().copied();
    items.filter(|item| item.kind == kind).collect()
}

/// What the parts of the compiler share.
struct Compiler<'p> {
    phrases: PhrasesBuilder,
    /// Labels that conditions ask for.
    label_uses: Vec<(String, Span)>,
    problems: &'p mut Vec<Problem>,
}

impl Compiler<'_> {
    fn error(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Labels that are asked for and never set.
    fn check_labels(&mut self, rules: &Rules) {
        let set: Vec<&str> = rules
            .labels
            .iter()
            .map(|rule| rule.label.as_ref())
            .collect();
        for (label, span) in std::mem::take(&mut self.label_uses) {
            if set.contains(&label.as_str()) {
                continue;
            }
            let problem = Problem::error("P019", format!("no [[label]] rule sets `{label}`"))
                .at(Some(span), "");
            self.error(match closest(&label, &set) {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                None => problem.help(format!("set are: {}", set.join(", "))),
            });
        }
    }

    fn finish(self) -> Option<Phrases> {
        match self.phrases.build() {
            Ok(phrases) => Some(phrases),
            Err(error) => {
                self.problems.push(
                    Problem::error("P006", format!("the phrases are too many: {error}"))
                        .help("take phrases away that others contain"),
                );
                None
            }
        }
    }
}
