//! The tables of policy files.

use std::{collections::HashSet, sync::Arc};

use toml::de::DeTable;

use super::{
    Compiler,
    condition::Stage,
    conflicts,
    document::{self, Item},
    sampling,
};
use crate::{
    policy::{
        ByClass, Cache, Class, ClassGlob, Excess, History, ModelSettings, Origin, Queue,
        ToolLimits,
        fallback::Fallback,
        file::{
            policies::{CACHE, FALLBACK, MODEL, QUEUE, ROUTE},
            table::{Table, unknown_class},
        },
        matching::Glob,
        set::{Model, Policies, Route},
    },
    problem::{Problem, Span, closest},
};

pub(super) fn compile(items: &[Item<'_>], compiler: &mut Compiler<'_>) -> Policies {
    let mut policies = Policies {
        profiles: sampling::profiles(items, compiler),
        limits: sampling::limits(items, compiler),
        ..Policies::default()
    };
    let mut queues = Vec::new();
    let mut fallbacks = Vec::new();
    let mut caches = Vec::new();
    for item in items {
        match item.kind {
            "route" => policies.routes.extend(compiler.route(item)),
            "model" => policies.models.extend(compiler.model(
                item,
                items,
                &policies.profiles.keys().cloned().collect::<Vec<_>>(),
            )),
            "queue" => queues.extend(compiler.queue(item)),
            "fallback" => fallbacks.extend(compiler.fallback(item)),
            "cache" => caches.extend(compiler.cache(item)),
            _ => {}
        }
    }
    conflicts::unreachable(policies.routes.iter().map(|route| &route.rule), compiler);
    compiler.ties(&policies.models, items);
    policies.queues = compiler.by_class("queue", queues);
    policies.fallbacks = compiler.by_class("fallback", fallbacks);
    policies.caches = compiler.by_class("cache", caches);
    policies
}

/// A value for some classes, and where it stands.
pub(super) struct ForClasses<T> {
    pub(super) on: Vec<ClassGlob>,
    pub(super) span: Span,
    pub(super) value: T,
}

impl Compiler<'_> {
    fn route(&mut self, item: &Item<'_>) -> Option<Route> {
        let table = item.check(&[ROUTE], self.problems);
        let to = self.globs(&table, "to");
        if table.is_hollow("to") {
            self.error(
                Problem::error("P013", "a route to nowhere")
                    .at(Some(table.place("to")), "")
                    .help("name models or globs, the first choice first: to = [\"qwen3-0.6b*\"]"),
            );
        }
        Some(Route {
            rule: self.rule(item, &table, Stage::Later)?,
            to,
            otherwise: table
                .text("else")
                .filter(|model| *model != "requested")
                .map(Arc::from),
        })
    }

    fn model(
        &mut self,
        item: &Item<'_>,
        items: &[Item<'_>],
        profiles: &[Arc<str>],
    ) -> Option<Model> {
        let table = item.check(&[MODEL], self.problems);
        let glob = Glob::new(table.text("match")?);
        if table.text("mode") == Some("off") {
            return None;
        }
        let own = self.settings(&table, profiles);
        let settings = match table.get("like") {
            None => own,
            Some(_) => {
                let fields = self.alike(item, items)?;
                // What is wrong with the values that are taken over is told where they stand.
                let table = Table::check(item.span.clone(), &fields, &[MODEL], &mut Vec::new());
                let mut silent = Compiler {
                    phrases: std::mem::take(&mut self.phrases),
                    label_uses: Vec::new(),
                    problems: &mut Vec::new(),
                };
                let settings = silent.settings(&table, profiles);
                self.phrases = silent.phrases;
                settings
            }
        };
        Some(Model {
            id: item.id.as_str().into(),
            origin: item.origin.clone(),
            glob,
            settings,
        })
    }

    /// A model's keys on top of those of the one that it is like.
    fn alike<'a>(&mut self, item: &Item<'a>, items: &[Item<'a>]) -> Option<DeTable<'a>> {
        let mut chain = vec![item];
        while let Some(like) = chain.last().and_then(|last| last.fields.get("like")) {
            let name = crate::policy::file::table::text(like)?;
            let models = || items.iter().filter(|item| item.kind == "model");
            let Some(next) = models().find(|model| model.id == name) else {
                let names: Vec<&str> = models().map(|model| model.id.as_str()).collect();
                let problem = Problem::error("P024", format!("there is no model policy `{name}`"))
                    .at(Some(like.span()), "");
                self.error(match closest(name, &names) {
                    Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                    None => problem.help("`like` names another one's id, or its glob"),
                });
                return None;
            };
            if chain.iter().any(|seen| std::ptr::eq(*seen, next)) {
                let problem = Problem::error("P024", "a model policy cannot be like itself");
                self.error(
                    problem
                        .at(Some(like.span()), "leads back here")
                        .help("let one of them stand by itself"),
                );
                return None;
            }
            chain.push(next);
        }
        let mut fields = DeTable::new();
        for item in chain.iter().rev() {
            document::set(&mut fields, &item.fields);
        }
        Some(fields)
    }

    fn settings(&mut self, table: &Table<'_>, profiles: &[Arc<str>]) -> ModelSettings {
        let count = |table: &Table<'_>, key: &str| {
            table.count(key).and_then(|count| u32::try_from(count).ok())
        };
        let profile = self.for_classes(table, "profile", |table, class| {
            table.text(class).map(Arc::from)
        });
        for name in &profile {
            if !profiles.contains(&name.value) {
                let known: Vec<&str> = profiles.iter().map(AsRef::as_ref).collect();
                let problem =
                    Problem::error("P018", format!("there is no profile `{}`", name.value))
                        .at(Some(name.span.clone()), "");
                self.error(match closest(&name.value, &known) {
                    Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                    None => problem.help(format!("known are: {}", known.join(", "))),
                });
            }
        }
        let max_tokens = self.for_classes(table, "max_tokens", count);
        let history = table.table("history");
        let history = history.map(|history| History {
            window_chars: history.count("window_chars"),
            keep_chars: history.count("keep_chars"),
            keep_turns: history.count("keep_turns"),
            assistant_cap_chars: history.count("assistant_cap_chars"),
        });
        let history = history.unwrap_or_default();
        if let (Some(window), Some(keep)) = (history.window_chars, history.keep_chars)
            && keep >= window
            && let Some(table) = table.table("history")
        {
            self.error(
                Problem::error("P022", "a cut must leave less than the window")
                    .at(Some(table.place("keep_chars")), "")
                    .at(Some(table.place("window_chars")), "")
                    .help("half of it lets many turns pass until the next cut"),
            );
        }
        let tools = table.table("tools").and_then(|tools| {
            Some(ToolLimits {
                max_tokens: count(&tools, "max_tokens")?,
                on_excess: match tools.text("on_excess")? {
                    "prune" => Excess::Prune,
                    "drop" => Excess::Drop,
                    _ => Excess::Keep,
                },
                builtin: self.globs(&tools, "builtin"),
            })
        });
        ModelSettings {
            context: count(table, "context"),
            reserve: count(table, "reserve"),
            history,
            system_tokens: table
                .table("system")
                .and_then(|system| count(&system, "max_tokens")),
            tools,
            profile: self.by_class("profile", profile),
            max_tokens: self.by_class("limit", max_tokens),
        }
    }

    /// The values of a table whose keys are classes.
    pub(super) fn for_classes<'a, T>(
        &mut self,
        table: &Table<'a>,
        key: &str,
        read: impl Fn(&Table<'a>, &str) -> Option<T>,
    ) -> Vec<ForClasses<T>> {
        let Some(map) = table.table(key) else {
            return Vec::new();
        };
        let mut values = Vec::new();
        for (name, span, value) in map.entries() {
            let Some(glob) = ClassGlob::parse(name) else {
                self.error(unknown_class(name, span));
                continue;
            };
            values.extend(read(&map, name).map(|read| ForClasses {
                on: vec![glob],
                span: value.span(),
                value: read,
            }));
        }
        values
    }

    fn queue(&mut self, item: &Item<'_>) -> Option<ForClasses<(Queue, Origin)>> {
        let table = item.check(&[QUEUE], self.problems);
        if table.text("mode") == Some("off") {
            return None;
        }
        let queue = Queue {
            name: item.id.as_str().into(),
            urgency: u8::try_from(table.integer("urgency")?).ok()?,
            deadline: table.duration("deadline"),
            fallback: None,
            instead: false,
        };
        Some(ForClasses {
            on: table.classes("on"),
            span: item.id_span.clone(),
            value: (queue, item.origin.clone()),
        })
    }

    fn fallback(&mut self, item: &Item<'_>) -> Option<ForClasses<Fallback>> {
        let table = item.check(&[FALLBACK], self.problems);
        if table.text("mode") == Some("off") {
            return None;
        }
        Some(ForClasses {
            on: table.classes("on"),
            span: item.id_span.clone(),
            value: Fallback {
                answer: table.text("answer")?.into(),
                instead: table.bool("instead").unwrap_or(false),
            },
        })
    }

    fn cache(&mut self, item: &Item<'_>) -> Option<ForClasses<(Cache, Origin)>> {
        let table = item.check(&[CACHE], self.problems);
        if table.text("mode") == Some("off") {
            return None;
        }
        let on = table.classes("on");
        if on.iter().any(|glob| glob.matches(Class::Chat)) {
            self.error(
                Problem::error("P025", "answers to chats are never shared")
                    .at(Some(table.place("on")), "")
                    .help("who asks again wants another answer; name tasks, such as \"task/*\""),
            );
        }
        let cache = Cache {
            by: item.id.as_str().into(),
            ttl: table.duration("ttl")?,
        };
        Some(ForClasses {
            on,
            span: item.id_span.clone(),
            value: (cache, item.origin.clone()),
        })
    }

    /// The most particular value for each class; equally particular ones are an error.
    pub(super) fn by_class<T: Clone>(
        &mut self,
        what: &str,
        values: Vec<ForClasses<T>>,
    ) -> ByClass<T> {
        // Two that meet in a group of classes are told once, not for each class in it.
        let mut told = HashSet::new();
        ByClass::from_fn(|class| {
            let rank = |value: &ForClasses<T>| {
                let globs = value.on.iter().filter(|glob| glob.matches(class));
                globs.map(|glob| glob.rank()).max()
            };
            let best = values.iter().filter_map(rank).max()?;
            let mut winners = values.iter().filter(|value| rank(value) == Some(best));
            let first = winners.next()?;
            if let Some(second) = winners.next()
                && told.insert((first.span.start, second.span.start))
            {
                let problem = Problem::error("P021", format!("two {what}s for {class}"));
                self.error(
                    problem
                        .at(Some(second.span.clone()), "the second")
                        .at(Some(first.span.clone()), "the first")
                        .help("name fewer classes in one of them"),
                );
            }
            Some(first.value.clone())
        })
    }

    /// Two globs that match the same model equally well.
    fn ties(&mut self, models: &[Model], items: &[Item<'_>]) {
        let place = |model: &Model| {
            let item = items
                .iter()
                .find(|item| item.kind == "model" && *item.id == *model.id)?;
            item.fields.get("match").map(toml::Spanned::span)
        };
        for (n, second) in models.iter().enumerate() {
            for first in models.iter().take(n) {
                let literals = second.glob.literals();
                if first.glob.literals() != literals {
                    continue;
                }
                if let Some(name) = first.glob.common(&second.glob) {
                    let label = format!("{literals} literal characters");
                    self.error(
                        Problem::error(
                            "P014",
                            format!("two model policies match \"{name}\" equally well"),
                        )
                        .at(place(first), label.clone())
                        .at(place(second), label)
                        .help("make one longer, or remove one"),
                    );
                }
            }
        }
    }
}
