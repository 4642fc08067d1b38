//! `rkgate log show`.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use anstyle::AnsiColor;
use clap::Args;

use super::{
    Failure, code,
    paint::{self, Paint, harmless},
    unreadable,
};
use crate::{
    chat::{self, Sampling},
    cli::Format,
    policy::{Step, StepOutcome},
    promptlog::{
        Content, Filter, Kept, Reader, Record, json,
        transcript::{Line, difference, transcript},
    },
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The number that `tail` shows, or the `x-request-id` of the answer.
    id: String,
    /// Show what was changed rather than the request before and after.
    #[arg(long)]
    diff: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(reader: &mut Reader, options: &Options) -> Result<ExitCode, Failure> {
    let found = find(reader, &options.id)?;
    let Some((id, record)) = found else {
        let message = format!("there is no request {} in the prompt log", options.id);
        return Err(Failure::new(code::MISSING, message));
    };
    let mut out = io::stdout().lock();
    match options.format {
        Format::Json => writeln!(out, "{:#}", record.to_json(id))?,
        Format::Text => {
            let page = Page {
                out: &mut out,
                paint: Paint::for_stdout(),
            };
            page.write(id, &record, options.diff)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn find(reader: &mut Reader, id: &str) -> Result<Option<(i64, Record)>, Failure> {
    let number = match id.parse() {
        Ok(number) => Some(number),
        Err(_) => {
            let filter = Filter {
                request: Some(id.to_owned()),
                ..Filter::default()
            };
            let page = reader.page(&filter, None, 1).map_err(unreadable)?;
            page.records.first().map(|summary| summary.id)
        }
    };
    let Some(number) = number else {
        return Ok(None);
    };
    let record = reader.get(number).map_err(unreadable)?;
    Ok(record.map(|record| (number, record)))
}

struct Page<'o, W> {
    out: &'o mut W,
    paint: Paint,
}

impl<W: Write> Page<'_, W> {
    fn write(mut self, id: i64, record: &Record, diff: bool) -> io::Result<()> {
        self.facts(id, record)?;
        let Some(content) = &record.content else {
            return match record.kept {
                Kept::Damaged => writeln!(
                    self.out,
                    "\nThe record is damaged: its content cannot be read."
                ),
                kept => writeln!(self.out, "\nNo content is kept: {}.", kept.as_str()),
            };
        };
        match &content.after {
            Some(after) if diff => {
                self.title("What was changed")?;
                self.difference(&difference(&content.before, after))?;
            }
            Some(after) => {
                let made = match record.was_sent() {
                    true => "What was sent",
                    false => "What rules made of it",
                };
                self.request("What came, as rkgate reads it", &content.before)?;
                self.request(made, after)?;
            }
            None if !record.was_sent() => {
                self.request("What came, as rkgate reads it", &content.before)?;
            }
            None => {
                let title = "What came, as rkgate reads it; no rule changed it";
                self.request(title, &content.before)?;
            }
        }
        self.title("Why")?;
        for step in &content.trace.steps {
            writeln!(self.out, "  {}", paint::line(&story(step)))?;
        }
        self.answer(content)
    }

    fn facts(&mut self, id: i64, record: &Record) -> io::Result<()> {
        let millis = |time: std::time::Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let labels: Vec<&str> = record.labels.iter().map(AsRef::as_ref).collect();
        let tokens = record.usage.map(|usage| {
            format!(
                "{} prompt ({} reused), {} generated ({} thinking)",
                usage.prompt, usage.cached, usage.completion, usage.reasoning
            )
        });
        let speed = record.timings.tokens_per_second(record.usage);
        let facts = [
            ("request", Some(format!("{id}  {}", record.request))),
            ("time", Some(json::timestamp(record.time))),
            ("conversation", record.conversation.clone()),
            ("instance", record.instance.clone()),
            ("client", record.client.clone()),
            ("user", record.user.clone()),
            ("class", Some(record.class.to_string())),
            ("labels", (!labels.is_empty()).then(|| labels.join(", "))),
            ("asked", Some(record.asked.clone())),
            (
                "model",
                Some(format!("{} ({})", record.model, record.provider)),
            ),
            ("profile", record.profile.as_deref().map(str::to_owned)),
            ("sampling", record.content.as_ref().map(sampling)),
            ("policy", Some(format!("generation {}", record.policy))),
            ("status", Some(record.status.to_string())),
            ("finish", record.finish.as_deref().map(str::to_owned)),
            ("error", record.error.clone()),
            ("tokens", tokens),
            ("KV cache", found(record)),
            ("queued", record.timings.queued.map(millis)),
            ("first token", record.timings.first_token.map(millis)),
            ("total", Some(millis(record.timings.total))),
            ("speed", speed.map(|speed| format!("{speed:.1} tokens/s"))),
        ];
        for (name, value) in facts {
            if let Some(value) = value {
                let name = self.paint.dim(&format!("{name:<13}"));
                writeln!(self.out, "{name} {}", paint::line(&value))?;
            }
        }
        Ok(())
    }

    fn title(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "\n{}", self.paint.bold(title))
    }

    fn request(&mut self, title: &str, request: &chat::Request) -> io::Result<()> {
        self.title(title)?;
        writeln!(self.out, "{}", harmless(&transcript(request)))
    }

    fn difference(&mut self, lines: &[Line]) -> io::Result<()> {
        for line in lines {
            let line = match line {
                Line::Same(line) => format!("  {}", harmless(line)),
                Line::Removed(line) => self
                    .paint
                    .colour(AnsiColor::Red, &format!("- {}", harmless(line))),
                Line::Added(line) => self
                    .paint
                    .colour(AnsiColor::Green, &format!("+ {}", harmless(line))),
                Line::Gap => self.paint.dim("  ..."),
            };
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn answer(&mut self, content: &Content) -> io::Result<()> {
        let answer = &content.answer;
        if !answer.reasoning.is_empty() {
            self.title("Thinking")?;
            writeln!(self.out, "{}", harmless(&answer.reasoning))?;
        }
        self.title("Answer")?;
        if let Some(why) = &content.unread {
            let note = format!("answer not read: {why}");
            writeln!(self.out, "{}", self.paint.dim(&paint::line(&note)))?;
        }
        writeln!(self.out, "{}", harmless(&answer.content))?;
        for call in &answer.tool_calls {
            let call = format!("calls {}({})", call.name, call.arguments);
            writeln!(self.out, "{}", harmless(&call))?;
        }
        Ok(())
    }
}

/// What of the prompt the KV cache held, where it might have held more.
fn found(record: &Record) -> Option<String> {
    let (usage, miss) = record.usage.zip(record.miss)?;
    let (cached, prompt, why) = (usage.cached, usage.prompt, miss.why());
    Some(format!(
        "{cached} of {prompt} tokens reused; the rest was read because {why}"
    ))
}

/// The values that were really used.
fn sampling(content: &Content) -> String {
    let Sampling {
        temperature,
        top_p,
        top_k,
        min_p,
        repeat_penalty,
        frequency_penalty,
        presence_penalty,
        seed,
    } = &content.sampling;
    let thinking = content.thinking.map(|on| if on { "on" } else { "off" });
    let values: [(&str, Option<&dyn fmt::Display>); 10] = [
        ("temperature", shown(temperature)),
        ("top_p", shown(top_p)),
        ("top_k", shown(top_k)),
        ("min_p", shown(min_p)),
        ("repeat_penalty", shown(repeat_penalty)),
        ("frequency_penalty", shown(frequency_penalty)),
        ("presence_penalty", shown(presence_penalty)),
        ("seed", shown(seed)),
        ("max_tokens", shown(&content.max_tokens)),
        ("thinking", shown(&thinking)),
    ];
    let values = values
        .iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", (*value)?)));
    values.collect::<Vec<_>>().join(", ")
}

fn shown<T: fmt::Display>(value: &Option<T>) -> Option<&dyn fmt::Display> {
    value.as_ref().map(|value| value as &dyn fmt::Display)
}

/// A step of the trace in words.
fn story(step: &Step) -> String {
    let at = step
        .origin
        .as_ref()
        .map(|origin| format!(" ({}:{})", origin.file, origin.line))
        .unwrap_or_default();
    let what = match &step.outcome {
        StepOutcome::Matched { what } => what.clone(),
        StepOutcome::NotMatched { why, .. } => format!("does not hold: {why}"),
        StepOutcome::Left { why } => {
            let why = why.as_deref().unwrap_or("there was nothing to do");
            format!("does nothing: {why}")
        }
        // Told by an explanation only.
        StepOutcome::Sampled { .. } => String::new(),
        StepOutcome::Applied { changes } => changed(changes),
        StepOutcome::Shadow { what, changes } if changes.is_empty() => format!("would: {what}"),
        StepOutcome::Shadow { changes, .. } => format!("would: {}", changed(changes)),
        StepOutcome::Failed { why } => format!("failed: {why}"),
    };
    format!("{:<9} {}{at}: {what}", stage(step), step.rule)
}

fn stage(step: &Step) -> String {
    format!("{:?}", step.stage).to_lowercase()
}

fn changed(changes: &[crate::policy::Change]) -> String {
    let changes = changes.iter().map(|change| {
        let (before, after) = (change.before, change.after);
        format!(
            "{}: {} ({before} to {after} characters)",
            change.place, change.what
        )
    });
    changes.collect::<Vec<_>>().join("; ")
}
