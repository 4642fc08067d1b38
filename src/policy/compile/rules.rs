//! The tables of rule files.

use super::{Compiler, condition::Stage, conflicts, document::Item};
use crate::{
    policy::{
        Class, ClassGlob, Denial, JsonShape, JsonValue, Repetition, Think,
        file::{
            keys::Key,
            rules::{ANSWER, CLASSIFY, DENY, LABEL, REWRITE},
            table::Table,
        },
        matching::PhraseId,
        ops,
        set::{Answer, Classify, ClassifyBy, Deny, Label, Rewrite, Rule, Rules},
    },
    problem::{Problem, closest},
};

pub(super) fn compile(items: &[Item<'_>], compiler: &mut Compiler<'_>) -> Rules {
    let mut rules = Rules::default();
    for item in items {
        match item.kind {
            "classify" => rules.classify.extend(compiler.classify(item)),
            "label" => rules.labels.extend(compiler.label(item)),
            "rewrite" => rules.rewrites.extend(compiler.rewrite(item)),
            "answer" => rules.answers.extend(compiler.answer(item)),
            "deny" => rules.denials.extend(compiler.deny(item)),
            _ => {}
        }
    }
    let classify = rules
        .classify
        .iter()
        .filter(|classify| matches!(classify.by, ClassifyBy::Condition(_)));
    conflicts::unreachable(classify.map(|classify| &classify.rule), compiler);
    conflicts::answers(&rules.answers, compiler);
    rules.rewrites = conflicts::ordered(rules.rewrites, compiler);
    conflicts::same_thing(&rules.rewrites, compiler);
    rules
}

impl Compiler<'_> {
    /// What every rule has; `None` for one that is switched off or has no id.
    pub(super) fn rule(
        &mut self,
        item: &Item<'_>,
        table: &Table<'_>,
        stage: Stage,
    ) -> Option<Rule> {
        let mut on = table.classes("on");
        if table.get("on").is_none() {
            on.push(ClassGlob::Any);
        } else if table.is_hollow("on") {
            self.error(
                Problem::error("P013", "a rule for no class can never hold")
                    .at(Some(table.place("on")), "")
                    .help("name classes, or \"*\" for all of them"),
            );
        }
        let when = self.condition(table, "when", stage).unwrap_or_default();
        let unless = self.condition(table, "unless", stage);
        if table.text("mode") == Some("off") || item.id.is_empty() {
            return None;
        }
        Some(Rule {
            id: item.id.as_str().into(),
            origin: item.origin.clone(),
            span: item.id_span.clone(),
            shadow: table.text("mode") == Some("shadow"),
            on,
            when,
            unless,
        })
    }

    fn table<'a>(&mut self, item: &'a Item<'_>, keys: &[&[Key]]) -> Table<'a> {
        item.check(keys, self.problems)
    }

    fn classify(&mut self, item: &Item<'_>) -> Option<Classify> {
        let table = self.table(item, &[CLASSIFY]);
        let rule = self.rule(item, &table, Stage::Classify);
        let has = |key: &str| table.get(key).is_some();
        let by = match (has("class"), has("keys"), has("headers")) {
            (true, false, false) | (false, true, false) if !has("when") => {
                Err("a class needs `when`: without conditions every request would be one")
            }
            (_, _, false) if has("values") => Err("`values` are those of `headers`"),
            (_, false, _) if has("quoted") => Err("`quoted` is for `keys`"),
            (true, false, false) => Ok(table
                .text("class")
                .and_then(Class::parse)
                .map(ClassifyBy::Condition)),
            (false, true, false) => Ok(Some(ClassifyBy::Keys(self.keys(&table)))),
            (false, false, true) => Ok(Some(ClassifyBy::Header {
                names: table
                    .texts("headers")
                    .iter()
                    .map(|(name, _)| name.to_ascii_lowercase())
                    .collect(),
                values: classes(&table, "values").collect(),
            })),
            (false, false, false) => Err("`class` and `when`, or `headers`, are needed"),
            _ => Err("either `class` and `when`, or `keys` and `when`, or `headers`"),
        };
        match by {
            Ok(by) => Some(Classify {
                rule: rule?,
                by: by?,
            }),
            Err(what) => {
                self.error(
                    Problem::error("P012", what)
                        .at(Some(item.id_span.clone()), "this rule")
                        .help("for example: class = \"task/title_generation\" and when = { last_user_starts = [\"...\"] }"),
                );
                None
            }
        }
    }

    /// The phrases of `keys` with their classes.
    fn keys(&mut self, table: &Table<'_>) -> Vec<(PhraseId, Class)> {
        let quotes: &[(&str, &str)] = match table.bool("quoted") {
            Some(false) => &[("", "")],
            _ => &[("\"", "\""), ("'", "'"), ("`", "`"), ("“", "”"), ("„", "“")],
        };
        let mut phrases = Vec::new();
        for (key, class) in classes(table, "keys") {
            for (open, close) in quotes {
                let phrase = self.phrases.phrase(&format!("{open}{key}{close}"));
                phrases.push((phrase, class));
            }
        }
        phrases
    }

    fn label(&mut self, item: &Item<'_>) -> Option<Label> {
        let table = self.table(item, &[LABEL]);
        Some(Label {
            rule: self.rule(item, &table, Stage::Label)?,
            label: table.text("label")?.into(),
        })
    }

    fn rewrite(&mut self, item: &Item<'_>) -> Option<Rewrite> {
        let before = self.problems.len();
        let name = item
            .fields
            .get("op")
            .and_then(crate::policy::file::table::text);
        let op = name.and_then(ops::find);
        let table = match (op, name) {
            (Some(op), _) => self.table(item, &[REWRITE, op.keys]),
            (None, None) => self.table(item, &[REWRITE]),
            (None, Some(name)) => {
                let names: Vec<&str> = ops::ALL.iter().map(|op| op.name).collect();
                let span = item.fields.get("op").map(toml::Spanned::span);
                let problem =
                    Problem::error("P006", format!("there is no operation `{name}`")).at(span, "");
                self.error(match closest(name, &names) {
                    Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                    None => problem.help(format!("known are: {}", names.join(", "))),
                });
                return None;
            }
        };
        let rule = self.rule(item, &table, Stage::Later);
        // An operation reads its keys as they ought to be.
        let op = op.filter(|_| self.problems.len() == before)?;
        let operation = (op.compile)(&table, self.problems);
        Some(Rewrite {
            rule: rule?,
            op,
            operation: operation?,
            after: table
                .texts("after")
                .into_iter()
                .map(|(id, span)| (id.to_owned(), span))
                .collect(),
        })
    }

    fn answer(&mut self, item: &Item<'_>) -> Option<Answer> {
        let table = self.table(item, &[ANSWER]);
        let json = table.table("json").and_then(|json| {
            Some(JsonShape {
                key: json.text("key")?.into(),
                value: json
                    .text("value")
                    .and_then(JsonValue::parse)
                    .unwrap_or_default(),
            })
        });
        let repetition = table.table("repetition").and_then(|repetition| {
            Some(Repetition {
                min_chars: repetition.count("min_chars")?,
                times: repetition.count("times")?,
            })
        });
        let stop = table.get("stop").map(|_| {
            let stops = table.texts("stop");
            stops.into_iter().map(|(stop, _)| stop.to_owned()).collect()
        });
        Some(Answer {
            rule: self.rule(item, &table, Stage::Later)?,
            think: table.text("think").and_then(Think::parse),
            json,
            repetition,
            stop,
        })
    }

    fn deny(&mut self, item: &Item<'_>) -> Option<Deny> {
        let table = self.table(item, &[DENY]);
        let rule = self.rule(item, &table, Stage::Later)?;
        Some(Deny {
            denial: Denial {
                by: rule.id.clone(),
                message: table.text("message")?.to_owned(),
            },
            rule,
        })
    }
}

/// The entries of a map of classes.
fn classes(table: &Table<'_>, key: &str) -> impl Iterator<Item = (String, Class)> {
    let classes = table.table(key);
    let entries: Vec<(String, Class)> = classes
        .iter()
        .flat_map(|classes| classes.entries().map(move |entry| (classes, entry)))
        .filter_map(|(classes, (name, _, _))| {
            Some((name.to_owned(), Class::parse(classes.text(name)?)?))
        })
        .collect();
    entries.into_iter()
}
