//! `repack_context`: documents for a question, without the long instructions around them.

use std::collections::{HashMap, HashSet};

use super::{Description, Example, Operation, Unstable};
use crate::{
    chat::Role,
    policy::{
        Rewriter,
        context::Context,
        file::{
            keys::{Key, Kind},
            table::Table,
        },
        prose,
    },
    problem::Problem,
};

const TEMPLATE: &str = "Answer the question with the help of these sources and cite them like [1]. \
If they do not hold the answer, say so. Use the language of the question.\n\n{context}";
/// What Open WebUI's templates for documents begin with.
const TASK: &str = "### Task:";
/// The share of the prompt that documents may take, in percent.
const SHARE: u32 = 50;
/// A line that is longer than this is taken apart into sentences.
const LONG_LINE: usize = 600;

pub(super) const DESCRIPTION: Description = Description {
    name: "repack_context",
    summary: "Makes retrieved documents short: a short instruction, no doubles, the best paragraphs, the question last.",
    details: "Works on `<context>` blocks with `<source>` elements in the last user message and in system messages. \
Each source becomes `[id] name` and its text; pieces of one source come together. Paragraphs that came twice stand \
there once. Over the budget those stay that share most words with the question, in their old order. The question is not \
touched. Instructions other than Open WebUI's own stay.",
    keys: &[
        Key::optional(
            "template",
            Kind::Text,
            "The instruction; `{context}` stands for the sources. The question follows it.",
        ),
        Key::optional(
            "max_tokens",
            Kind::Integer(16, 1_000_000),
            "Budget for the sources; default half of what the model's context leaves for the prompt.",
        ),
    ],
    examples: &[Example {
        title: "two overlapping pieces of one file",
        rule: r#"op = "repack_context"
max_tokens = 47"#,
        class: "chat",
        before: r####"{"messages": [{"role": "user", "content": "### Task:\nRespond to the user query using the provided context, incorporating inline citations in the format [id].\n\n### Guidelines:\n- If you don't know the answer, clearly state that.\n\n<context>\n<source id=\"1\" name=\"facts.txt\">Island one has many lakes.\nIsland two has lighthouses.</source>\n<source id=\"1\" name=\"facts.txt\">Island two has lighthouses.\nIsland three has nothing at all.</source>\n<source id=\"2\" name=\"more.txt\">Lighthouses shine.</source>\n</context>\n\nWhich island has lighthouses?"}]}"####,
        after: r#"{"messages": [{"role": "user", "content": "Answer the question with the help of these sources and cite them like [1]. If they do not hold the answer, say so. Use the language of the question.\n\n[1] facts.txt\nIsland one has many lakes.\nIsland two has lighthouses.\n\n[2] more.txt\nLighthouses shine.\n\nWhich island has lighthouses?"}]}"#,
    }],
    sets: None,
    compile,
};

#[derive(Debug)]
struct RepackContext {
    template: String,
    max_tokens: Option<u32>,
}

fn compile(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    let template = table.text("template").unwrap_or(TEMPLATE).trim();
    if !template.contains("{context}") {
        problems.push(
            Problem::error("P003", "`template` has no place for the sources")
                .at(Some(table.place("template")), "")
                .help("put {context} into it"),
        );
    }
    Some(Box::new(RepackContext {
        template: template.to_owned(),
        max_tokens: table
            .count("max_tokens")
            .and_then(|tokens| u32::try_from(tokens).ok()),
    }))
}

impl Operation for RepackContext {
    fn apply(&self, request: &mut Rewriter<'_>, context: &Context<'_>) {
        let Some(last) = request.last(Role::User) else {
            return;
        };
        let holds = |index: usize| {
            request
                .message(index)
                .is_some_and(|message| match message.role {
                    Role::System => true,
                    _ => index == last,
                })
        };
        if !(0..request.len()).any(|index| holds(index) && request.text(index).contains("<source"))
        {
            return;
        }
        let share = context.prompt_tokens().map(|tokens| tokens / 100 * SHARE);
        let budget = self.max_tokens.or(share).unwrap_or(u32::MAX);
        // The question stands behind the documents where those are in the same message.
        let asked = request.text(last);
        let question = parse(&asked)
            .map_or(&*asked, |found| found.question())
            .to_owned();
        drop(asked);
        for index in 0..request.len() {
            let system = request
                .message(index)
                .is_some_and(|message| message.role == Role::System);
            if !system && index != last {
                continue;
            }
            request.edit(index, "documents repacked", |text| {
                let found = parse(text)?;
                let sources = pack(&found.sources, &question, budget, &|text| {
                    context.text_tokens(text)
                });
                let sources = self.template.replace("{context}", &sources);
                let tail = if system {
                    found.tail_of_system()
                } else {
                    found.question()
                };
                let pieces = [found.before.trim_end(), &sources, tail];
                let pieces: Vec<&str> = pieces
                    .into_iter()
                    .filter(|piece| !piece.is_empty())
                    .collect();
                Some(pieces.join("\n\n"))
            });
        }
    }

    fn unstable(&self) -> Option<Unstable> {
        Some(Unstable {
            why: "documents are chosen for the last question, and clients send them with that one only",
            cost: "each turn reads the previous question and answer again; documents in the system prompt cost the whole conversation",
        })
    }
}

/// A message with documents.
struct Found<'a> {
    /// What stands before the documents and their instructions.
    before: &'a str,
    sources: Vec<Source<'a>>,
    /// What stands behind them.
    after: &'a str,
}

impl<'a> Found<'a> {
    /// What the person asked. Older templates put that between tags.
    fn question(&self) -> &'a str {
        let tagged = prose::outer_block(self.after, "user_query")
            .and_then(|block| self.after.get(block.inside));
        tagged.unwrap_or(self.after).trim()
    }

    /// Without the question, which stands in its own message.
    fn tail_of_system(&self) -> &'a str {
        match prose::outer_block(self.after, "user_query") {
            Some(block) => self.after.get(block.whole.end..).unwrap_or_default().trim(),
            None => self.after.trim(),
        }
    }
}

struct Source<'a> {
    id: Option<&'a str>,
    name: Option<&'a str>,
    text: &'a str,
}

fn parse(text: &str) -> Option<Found<'_>> {
    if !text.contains("<source") {
        return None;
    }
    let block = prose::outer_block(text, "context")?;
    let inside = text.get(block.inside.clone())?;
    let sources: Vec<Source<'_>> = prose::blocks(inside, "source")
        .into_iter()
        .filter_map(|source| {
            let tag = inside.get(source.whole.start..source.inside.start)?;
            Some(Source {
                id: attribute(tag, "id"),
                name: attribute(tag, "name"),
                text: inside.get(source.inside)?,
            })
        })
        .collect();
    if sources.is_empty() {
        return None;
    }
    let before = text.get(..block.whole.start)?;
    let task = before.rfind(TASK).filter(|at| {
        let instructions = before.get(*at..).unwrap_or_default();
        instructions.contains("provided context") || instructions.contains("citations")
    });
    Some(Found {
        before: before.get(..task.unwrap_or(before.len()))?,
        sources,
        after: text.get(block.whole.end..)?,
    })
}

/// `name="value"` in an opening tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let value = tag.get(start..)?;
    value
        .get(..value.find('"')?)
        .filter(|value| !value.is_empty())
}

struct Paragraph<'a> {
    /// Its source's place among the heads.
    head: usize,
    text: &'a str,
    tokens: u32,
    kept: bool,
}

/// The sources in short.
fn pack(
    sources: &[Source<'_>],
    question: &str,
    budget: u32,
    tokens: &dyn Fn(&str) -> u32,
) -> String {
    let mut heads: Vec<String> = Vec::new();
    let mut paragraphs: Vec<Paragraph<'_>> = Vec::new();
    let mut seen = HashSet::new();
    for source in sources {
        let head = match (source.id, source.name) {
            (Some(id), Some(name)) => format!("[{id}] {name}"),
            (Some(id), None) => format!("[{id}]"),
            (None, Some(name)) => name.to_owned(),
            (None, None) => "-".to_owned(),
        };
        let place = heads
            .iter()
            .position(|known| *known == head)
            .unwrap_or_else(|| {
                heads.push(head);
                heads.len() - 1
            });
        for text in split(source.text) {
            let words: Vec<&str> = text.split_whitespace().collect();
            if seen.insert(words.join(" ")) {
                paragraphs.push(Paragraph {
                    head: place,
                    text,
                    // The line break behind it.
                    tokens: tokens(text) + 1,
                    kept: false,
                });
            }
        }
    }
    choose(&mut paragraphs, &heads, question, budget, tokens);
    let mut packed = Vec::new();
    for (place, head) in heads.iter().enumerate() {
        let of_head = paragraphs
            .iter()
            .filter(|paragraph| paragraph.head == place && paragraph.kept);
        let texts: Vec<&str> = of_head.map(|paragraph| paragraph.text).collect();
        if !texts.is_empty() {
            packed.push(format!("{head}\n{}", texts.join("\n")));
        }
    }
    packed.join("\n\n")
}

/// Lines; one that is very long, in sentences.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .flat_map(|line| {
            if line.len() > LONG_LINE {
                prose::sentences(line)
            } else {
                vec![line]
            }
        })
        .map(str::trim)
        .filter(|line| !line.is_empty())
}

/// Keeps the paragraphs that fit, those first that share most with the question.
fn choose(
    paragraphs: &mut [Paragraph<'_>],
    heads: &[String],
    question: &str,
    budget: u32,
    tokens: &dyn Fn(&str) -> u32,
) {
    let asked: HashSet<u64> = prose::keys(question).collect();
    let found: Vec<Vec<u64>> = paragraphs
        .iter()
        .map(|paragraph| {
            let mut keys: Vec<u64> = prose::keys(paragraph.text)
                .filter(|key| asked.contains(key))
                .collect();
            keys.sort_unstable();
            keys.dedup();
            keys
        })
        .collect();
    let mut spread: HashMap<u64, u32> = HashMap::new();
    for key in found.iter().flatten() {
        *spread.entry(*key).or_default() += 1;
    }
    // A word that stands everywhere says little. Whole numbers, so that no rounding decides.
    let total = u32::try_from(paragraphs.len()).unwrap_or(u32::MAX);
    let worth = |key: &u64| {
        1 + 4
            * (total / spread.get(key).copied().unwrap_or(1))
                .checked_ilog2()
                .unwrap_or(0)
    };
    let scores: Vec<u32> = found
        .iter()
        .map(|keys| keys.iter().map(worth).sum())
        .collect();
    let mut order: Vec<usize> = (0..paragraphs.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(scores.get(*index).copied().unwrap_or_default()));
    let mut left = budget;
    let mut headed = vec![false; heads.len()];
    for index in order {
        let Some(paragraph) = paragraphs.get_mut(index) else {
            continue;
        };
        let head = match headed.get(paragraph.head) {
            Some(false) => heads.get(paragraph.head).map_or(0, |head| tokens(head) + 2),
            _ => 0,
        };
        if let Some(rest) = left.checked_sub(paragraph.tokens + head) {
            left = rest;
            paragraph.kept = true;
            if let Some(headed) = headed.get_mut(paragraph.head) {
                *headed = true;
            }
        }
    }
}
