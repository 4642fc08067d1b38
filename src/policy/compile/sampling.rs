//! Profiles and what becomes of values that the client sent.

use std::{collections::HashMap, sync::Arc};

use super::{
    Compiler,
    document::{self, Item},
};
use crate::{
    chat::Sampling,
    policy::{
        ByClass, Class, ClassGlob,
        file::{
            policies::{CLIENT, PROFILE},
            table::{self, Table, Value, unknown_class},
        },
        matching::Glob,
        sample::{FIELDS, Limit, LimitKind, Limits, Profile},
    },
    problem::{Problem, closest},
};

/// `[profile.NAME]`.
pub(super) fn profiles(
    items: &[Item<'_>],
    compiler: &mut Compiler<'_>,
) -> HashMap<Arc<str>, Profile> {
    let mut profiles = HashMap::new();
    let mut twins = Vec::new();
    for item in items.iter().filter(|item| item.kind == "profile") {
        let table = item.check(&[PROFILE], compiler.problems);
        let mut sampling = Sampling::default();
        for field in &FIELDS {
            (field.set)(&mut sampling, table.number(field.name));
        }
        let name: Arc<str> = item.id.strip_prefix("profile.").unwrap_or(&item.id).into();
        let twin: Option<Arc<str>> = table.text("twin").map(Arc::from);
        twins.extend(twin.clone().map(|twin| (twin, table.place("twin"))));
        profiles.insert(
            name.clone(),
            Profile {
                name,
                origin: item.origin.clone(),
                thinking: table.bool("thinking"),
                twin,
                sampling,
            },
        );
    }
    for (twin, span) in twins {
        if !profiles.contains_key(&twin) {
            let known: Vec<&str> = profiles.keys().map(AsRef::as_ref).collect();
            let problem =
                Problem::error("P018", format!("there is no profile `{twin}`")).at(Some(span), "");
            compiler.error(match closest(&twin, &known) {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                None => problem,
            });
        }
    }
    profiles
}

/// `[client_sampling]` of all files, later ones over earlier ones, by class.
pub(super) fn limits(items: &[Item<'_>], compiler: &mut Compiler<'_>) -> ByClass<Limits> {
    let before = compiler.problems.len();
    for item in items.iter().filter(|item| item.kind == "client_sampling") {
        item.check(&[CLIENT], compiler.problems);
    }
    let Some(item) = document::merged(items, "client_sampling") else {
        return ByClass::default();
    };
    if compiler.problems.len() > before {
        return ByClass::default();
    }
    let table = item.check(&[CLIENT], compiler.problems);
    let mut layers = vec![(ClassGlob::Any, 0, compiler.layer(&table))];
    if let Some(on) = table.table("on") {
        for (name, span, value) in on.entries() {
            match (ClassGlob::parse(name), table::as_table(value)) {
                (Some(glob), Some(table)) => {
                    layers.push((glob, glob.rank() + 1, compiler.layer(&table)))
                }
                (None, _) => compiler.error(unknown_class(name, span)),
                _ => {}
            }
        }
    }
    layers.sort_by_key(|(_, rank, _)| *rank);
    ByClass::from_fn(|class: Class| {
        let mut limits = HashMap::new();
        for (glob, _, layer) in &layers {
            if glob.matches(class) {
                limits.extend(layer.iter().map(|(name, limits)| (*name, limits.clone())));
            }
        }
        Some(Limits(limits))
    })
}

impl Compiler<'_> {
    fn layer(&mut self, table: &Table<'_>) -> Vec<(&'static str, Vec<Limit>)> {
        let names = FIELDS
            .iter()
            .map(|field| field.name)
            .chain(["max_tokens", "thinking"]);
        let mut layer = Vec::new();
        for name in names {
            if let Some(value) = table.get(name) {
                layer.push((name, self.limits(name, value)));
            }
        }
        layer
    }

    fn limits(&mut self, name: &str, value: &Value<'_>) -> Vec<Limit> {
        let words = match table::text(value) {
            Some(word) => vec![(word, value.span())],
            None => table::texts(value),
        };
        let mut limits = Vec::new();
        for (word, span) in words {
            match limit(word) {
                Ok(limit) if matches!(name, "thinking" | "seed") && !limit.is_switch() => {
                    let problem = Problem::error("P023", format!("`{name}` can be obeyed or ignored only"));
                    self.error(problem.at(Some(span), "").help("write `obey` or `ignore`"));
                }
                Ok(limit) => limits.push(limit),
                Err(why) => self.error(
                    Problem::error("P023", why)
                        .at(Some(span), "")
                        .help("write `obey`, `ignore`, `clamp 0.1..1.5`, `floor 2` or `ceiling 1.5`, each with ` for qwen3*` if need be"),
                ),
            }
        }
        limits
    }
}

/// `clamp 0.1..1.5 for qwen3*`.
fn limit(text: &str) -> Result<Limit, String> {
    let (what, family) = match text.split_once(" for ") {
        Some((what, family)) if !family.trim().is_empty() => (what, Some(Glob::new(family.trim()))),
        Some(_) => return Err("a family is missing behind `for`".to_owned()),
        None => (text, None),
    };
    let (verb, rest) = what
        .trim()
        .split_once(char::is_whitespace)
        .unwrap_or((what.trim(), ""));
    let number = |text: &str| -> Result<f64, String> {
        let number = text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| format!("`{}` is no number", text.trim()))
    };
    let kind = match (verb, rest.trim()) {
        ("obey", "") => LimitKind::Obey,
        ("ignore", "") => LimitKind::Ignore,
        ("floor", least) => LimitKind::Clamp(number(least)?, f64::INFINITY),
        ("ceiling", most) => LimitKind::Clamp(f64::NEG_INFINITY, number(most)?),
        ("clamp", range) => {
            let (least, most) = range
                .split_once("..")
                .ok_or("a range such as `0.1..1.5` is missing")?;
            let (least, most) = (number(least)?, number(most)?);
            if least > most {
                return Err(format!("nothing is between {least} and {most}"));
            }
            LimitKind::Clamp(least, most)
        }
        _ => return Err(format!("`{text}` says nothing about a client's value")),
    };
    Ok(Limit { kind, family })
}
