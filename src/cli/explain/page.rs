//! An explanation as a page of text.

use std::fmt::{self, Write};

use super::{diff, ink, why};
use crate::{
    cli::paint::{Paint, harmless, line},
    engine::worker::PieceKind,
    explain::{Differs, Explanation, Kept, Previous, Prompt, Reuse, UsedValue},
    policy::{Origin, Sampled, Stage, StepOutcome, Think, ValueOrigin},
};

/// What ends the path of a file inside the binary.
const SHIPPED: &str = " (shipped)";

/// The page. Nothing in it acts on a terminal but its own colours.
pub(super) fn page(explanation: &Explanation, paint: Paint, verbose: bool) -> String {
    let mut page = Page {
        text: String::new(),
        paint,
        verbose,
    };
    // Writing to a string cannot fail.
    let _ = page.write(explanation);
    page.text
}

/// A page being written.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) paint: Paint,
    pub(super) verbose: bool,
}

impl Page {
    fn write(&mut self, explanation: &Explanation) -> fmt::Result {
        self.summary(explanation)?;
        self.heading("Why")?;
        why::write(self, explanation)?;
        if explanation.decision.deny.is_some() {
            return writeln!(self.text, "\nIt is refused: no model reads it.");
        }
        self.heading("What is rewritten")?;
        diff::write(self, explanation)?;
        let id = line(&explanation.decision.model);
        self.heading(&format!("What {id} reads"))?;
        self.prompt(&explanation.prompt)?;
        self.heading("What it costs")?;
        self.tokens(explanation)?;
        self.reuse(explanation)
    }

    fn heading(&mut self, text: &str) -> fmt::Result {
        writeln!(self.text, "\n{}\n", self.paint.with(ink::STRONG, text))
    }

    /// A line of the table at the top; without a name it goes on with the one before.
    fn row(&mut self, name: &str, value: &str) -> fmt::Result {
        let name = self.paint.with(ink::STRONG, &format!("{name:<12}"));
        writeln!(self.text, "{name}{value}")
    }

    fn summary(&mut self, explanation: &Explanation) -> fmt::Result {
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
        if let Some(seed) = decision.sampling.seed {
            self.row("", &format!("{:<18}{seed:<6} client", "seed"))?;
        }
        self.row("max tokens", &max_tokens(&explanation.max_tokens))?;
        let queue = &decision.queue;
        let deadline = queue
            .deadline
            .map_or_else(String::new, |deadline| format!(", deadline {deadline:?}"));
        let class = line(&queue.name);
        self.row(
            "queue",
            &format!("{class}, urgency {}{deadline}", queue.urgency),
        )?;
        let fallback = queue.fallback.as_deref().map(line);
        self.row(
            "fallback",
            &or_none(fallback.as_deref().unwrap_or_default()),
        )?;
        self.answer(explanation)
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
        let mut says = vec![match rules.think {
            Think::Reasoning => "thinking goes to reasoning_content".to_owned(),
            Think::Drop => "thinking is dropped".to_owned(),
            Think::Inline => "thinking stays in the text".to_owned(),
        }];
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

    fn prompt(&mut self, prompt: &Prompt) -> fmt::Result {
        if let Some(refused) = &prompt.refused {
            let refused = format!("The engine refuses it: {}", line(refused));
            writeln!(self.text, "{}\n", self.paint.with(ink::BAD, &refused))?;
        } else if !prompt.exact {
            writeln!(
                self.text,
                "{}\n",
                self.paint.with(
                    ink::FAINT,
                    "Shown as messages: the template that puts them together is not at hand."
                )
            )?;
        }
        let mut text = String::new();
        let mut any_lookalike = false;
        for piece in &prompt.pieces {
            let safe = harmless(&piece.text);
            match piece.kind {
                PieceKind::Text => text.push_str(&safe),
                // Line by line, so that the bar before the next is not coloured.
                PieceKind::Control => {
                    let lines = safe
                        .split('\n')
                        .map(|line| self.paint.with(ink::CONTROL, line));
                    text.push_str(&lines.collect::<Vec<_>>().join("\n"));
                }
                PieceKind::Lookalike => {
                    any_lookalike = true;
                    let first = safe.chars().next().map_or(0, char::len_utf8);
                    let (first, rest) = safe.split_at(first);
                    text.push_str(&format!("{first}\\{rest}"));
                }
            }
        }
        let bar = self.paint.with(ink::FAINT, "|");
        for line in text.split('\n') {
            writeln!(
                self.text,
                "{}",
                format!("{bar} {line}").trim_end_matches(' ')
            )?;
        }
        if any_lookalike {
            writeln!(
                self.text,
                "\nA `\\` behind the first character, as in `<\\|im_end|>`, marks text that is only spelt like a \
                 control token."
            )?;
        }
        Ok(())
    }

    fn tokens(&mut self, explanation: &Explanation) -> fmt::Result {
        let prompt = &explanation.prompt;
        let about = if prompt.exact { "" } else { "about " };
        let tokens = format!("{about}{}", count(prompt.tokens));
        let tokens = self.paint.with(ink::STRONG, &tokens);
        let context = prompt.context.map_or_else(
            || ", context unknown".to_owned(),
            |context| format!(" of {context}"),
        );
        self.row("prompt", &format!("{tokens}{context}"))?;
        if let Some(why) = &prompt.why_estimated {
            self.row("", &format!("estimated: {}", line(why)))?;
        }
        if explanation.rewritten {
            self.row(
                "",
                &format!("{about}{} without rewriting", prompt.unrewritten),
            )?;
        }
        self.row(
            "of it",
            &format!(
                "system prompt {about}{}, tools {about}{}",
                prompt.system, prompt.tools
            ),
        )?;
        if let Some(left) = prompt.left {
            let reserve = prompt.reserve.map_or_else(String::new, |reserve| {
                format!("; the policy keeps {reserve} free")
            });
            let most = explanation
                .max_tokens
                .value
                .map_or(left, |most| most.min(left));
            self.row(
                "left",
                &format!(
                    "{} for the answer, which has {most} at most{reserve}",
                    count(left)
                ),
            )?;
        }
        Ok(())
    }

    fn reuse(&mut self, explanation: &Explanation) -> fmt::Result {
        let Some(reuse) = &explanation.reuse else {
            return self.row("reuse", "nothing to reuse: there was no request before");
        };
        let Reuse {
            previous,
            exact,
            kept,
            unrewritten,
            differs,
            notes,
        } = reuse;
        let about = if *exact { "" } else { "about " };
        let says = |kept: &Kept| {
            format!(
                "{about}{} ({} %) kept, {about}{} to read",
                count(kept.tokens),
                kept.percent,
                kept.read
            )
        };
        let from = match previous {
            Previous::Given => "the previous request",
            Previous::Derived => "the previous request, as this one tells it",
        };
        self.row("reuse", &format!("{}; after {from}", says(kept)))?;
        if let Some(unrewritten) = unrewritten.as_ref().filter(|_| explanation.rewritten) {
            self.row("", &format!("without rewriting: {}", says(unrewritten)))?;
        }
        match differs {
            Some(differs) => self.differs(differs)?,
            None => self.row("", "the prompt only grew")?,
        }
        for note in notes {
            self.row("", &self.paint.with(ink::FAINT, &line(note)))?;
        }
        Ok(())
    }

    fn differs(&mut self, differs: &Differs) -> fmt::Result {
        let Differs {
            place,
            why,
            behind,
            was,
            is,
            rules,
        } = differs;
        self.row("differs", &format!("at {}: {}", line(place), line(why)))?;
        if !behind.is_empty() {
            self.row("  behind", &line(behind))?;
        }
        self.row("  was", &self.paint.with(ink::BAD, &line(was)))?;
        self.row("  is", &self.paint.with(ink::GOOD, &line(is)))?;
        for (n, by) in rules.iter().enumerate() {
            let name = if n == 0 { "  rules" } else { "" };
            self.row(name, &rule(&by.rule, by.origin.as_ref()))?;
        }
        Ok(())
    }
}

/// A rule's id and where it stands.
pub(super) fn rule(id: &str, origin: Option<&Origin>) -> String {
    let Some(Origin { file, line: number }) = origin else {
        return line(id);
    };
    match file.strip_suffix(SHIPPED) {
        Some(file) => format!("{} (shipped {}:{number})", line(id), line(file)),
        None => format!("{} ({}:{number})", line(id), line(file)),
    }
}

fn count(tokens: u32) -> String {
    match tokens {
        1 => "1 token".to_owned(),
        tokens => format!("{tokens} tokens"),
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
