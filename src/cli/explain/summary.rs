//! The table at the top: what was decided, and by whom.

use std::fmt;

use super::{
    ink,
    page::{Page, rule},
};
use crate::{
    cli::paint::line,
    explain::{Explanation, UsedValue},
    policy::{Sampled, Stage, StepOutcome, Think, ValueOrigin},
};

impl Page {
    pub(super) fn summary(&mut self, explanation: &Explanation) -> fmt::Result {
        let decision = &explanation.decision;
        let steps = &explanation.trace.steps;
        let origin = |stage: Stage, rule: &str| {
            let step = steps.iter().find(|step| {
                step.stage == stage
                    && *step.rule == *rule
                    && matches!(step.outcome, StepOutcome::Matched { .. })
            });
            step.and_then(|step| step.origin.as_ref())
        };
        if let Some(deny) = &decision.deny {
            let by = rule(&deny.by, origin(Stage::Deny, &deny.by));
            let refused = format!("refused by {by}: {}", line(&deny.message));
            self.row("denied", &self.paint.with(ink::BAD, &refused))?;
        }
        let by = rule(&decision.by, origin(Stage::Classify, &decision.by));
        let class = self.paint.with(ink::GOOD, decision.class.as_str());
        self.row("class", &format!("{class}, by {by}"))?;
        let labels: Vec<String> = decision.labels.iter().map(|label| line(label)).collect();
        self.row("labels", &or_none(&labels.join(", ")))?;
        self.model(explanation)?;
        let settings = steps.iter().find(|step| step.stage == Stage::Policy);
        if let Some(settings) = settings {
            let by = rule(&settings.rule, settings.origin.as_ref());
            self.row("settings", &by)?;
        }
        let profile = decision.profile.as_deref().map_or_else(
            || "none".to_owned(),
            |profile| rule(profile, origin(Stage::Sample, profile)),
        );
        self.row("profile", &profile)?;
        let thinking = steps.iter().find_map(|step| match &step.outcome {
            StepOutcome::Matched { what } if step.stage == Stage::Sample => {
                Some(what.trim_start_matches("thinking "))
            }
            _ => None,
        });
        self.row("thinking", &line(thinking.unwrap_or("as the model does")))?;
        for (n, value) in explanation.sampling.iter().enumerate() {
            let name = if n == 0 { "sampling" } else { "" };
            self.row(name, &sampling(value))?;
        }
        if let Some(class) = explanation.sampling_at_load {
            let why = format!(
                "the runtime takes these when it loads a model: this one has the profile for {class}, and it holds for \
                 every request"
            );
            self.row("", &self.paint.with(ink::NOTICE, &why))?;
        }
        if let Some(seed) = decision.sampling.seed {
            self.row("", &format!("{:<18}{seed:<6} client", "seed"))?;
        }
        self.row("max tokens", &max_tokens(&explanation.max_tokens))?;
        let queue = &decision.queue;
        let deadline = queue
            .deadline
            .map_or_else(String::new, |deadline| format!(", deadline {deadline:?}"));
        let class = line(&queue.name);
        let queued = match queue.instead {
            true => "none: the model is not asked".to_owned(),
            false => format!("{class}, urgency {}{deadline}", queue.urgency),
        };
        self.row("queue", &queued)?;
        let fallback = queue.fallback.as_deref().map(line);
        self.row(
            "fallback",
            &or_none(fallback.as_deref().unwrap_or_default()),
        )?;
        self.answer(explanation)?;
        match &decision.cache {
            Some(cache) => {
                let by = rule(&cache.by, origin(Stage::Answer, &cache.by));
                let how_long = match cache.ttl.is_zero() {
                    true => "while it is being made".to_owned(),
                    false => format!("while it is being made and {:?} longer", cache.ttl),
                };
                self.row("shared", &format!("{how_long}, by {by}"))
            }
            None => Ok(()),
        }
    }

    fn model(&mut self, explanation: &Explanation) -> fmt::Result {
        let asked = line(&explanation.asked);
        let answering = line(&explanation.decision.model);
        let routed = explanation.trace.steps.iter().find(|step| {
            step.stage == Stage::Route && matches!(step.outcome, StepOutcome::Matched { .. })
        });
        let why = match routed {
            Some(step) if &*step.rule == "forced" => "as --engine says".to_owned(),
            Some(step) => format!("by {}", rule(&step.rule, step.origin.as_ref())),
            None => "no route holds".to_owned(),
        };
        let answering_ink = self.paint.with(ink::GOOD, &answering);
        let arrow = match asked.eq_ignore_ascii_case(&answering) {
            true => answering_ink,
            false => format!("{asked} -> {answering_ink}"),
        };
        self.row("model", &format!("{arrow}, {why}"))?;
        match &explanation.model {
            None => {
                let known = format!(
                    "nobody here serves `{answering}`: the client gets 404; --engine NAME explains it for another model"
                );
                self.row("", &self.paint.with(ink::NOTICE, &known))
            }
            Some(model) => match &model.upstream {
                Some(upstream) => {
                    self.row("", &format!("served by the upstream {}", line(upstream)))
                }
                None => Ok(()),
            },
        }
    }

    fn answer(&mut self, explanation: &Explanation) -> fmt::Result {
        let rules = &explanation.decision.answer;
        let model = explanation.model.as_ref();
        let is_remote = model.is_some_and(|model| model.upstream.is_some());
        let thinking = match rules.think {
            None if is_remote => "thinking is left where the upstream puts it",
            None | Some(Think::Reasoning) => "thinking goes to reasoning_content",
            Some(Think::Drop) => "thinking is dropped",
            Some(Think::Inline) => "thinking stays in the text",
        };
        let mut says = vec![thinking.to_owned()];
        if let Some(json) = &rules.json {
            let kind = json.value.as_str().replace('_', " ");
            says.push(format!("mended to JSON: {kind} in `{}`", line(&json.key)));
        }
        if let Some(repetition) = &rules.repetition {
            says.push(format!(
                "ended when {} characters or more stand {} times in a row",
                repetition.min_chars, repetition.times
            ));
        }
        if !rules.stop.is_empty() {
            let stop: Vec<String> = rules
                .stop
                .iter()
                .map(|stop| format!("`{}`", line(stop)))
                .collect();
            says.push(format!("ended by {}", stop.join(", ")));
        }
        for (n, says) in says.iter().enumerate() {
            self.row(if n == 0 { "answer" } else { "" }, says)?;
        }
        Ok(())
    }
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none" } else { text }.to_owned()
}

fn sampling(UsedValue { decided, used }: &UsedValue) -> String {
    let number =
        |value: Option<f32>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let mut says = format!(
        "{:<18}{:<6} {}",
        decided.name,
        number(decided.value),
        decided.origin.as_str()
    );
    match (decided.origin, decided.asked) {
        (ValueOrigin::Clamped, Some(asked)) => says += &format!(", the client asked for {asked}"),
        (ValueOrigin::Profile | ValueOrigin::Default, Some(asked)) => {
            says += &format!(", the client's {asked} is ignored");
        }
        _ => {}
    }
    match used {
        Some(used) if decided.value != Some(*used) => says += &format!("; the engine takes {used}"),
        _ => {}
    }
    says
}

fn max_tokens(limit: &Sampled<u32>) -> String {
    match (limit.value, limit.origin, limit.asked) {
        (None, ..) => "as many as the context holds".to_owned(),
        (Some(value), ValueOrigin::Clamped, Some(asked)) => {
            format!("{value}, clamped, the client asked for {asked}")
        }
        (Some(value), ValueOrigin::Profile, asked) => {
            let ignored = asked.map_or_else(String::new, |asked| {
                format!(", the client's {asked} is ignored")
            });
            format!("{value}, by the settings{ignored}")
        }
        (Some(value), ..) => format!("{value}, client"),
    }
}
