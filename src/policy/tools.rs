//! Tool definitions: all of them, the ones that the conversation needs, or none.
//!
//! Definitions stand at the beginning of the prompt, so that another choice means reading the whole conversation again.
//! So a tool is chosen by what each user message in turn asks for, and stays: plain turns in between change nothing.

mod intents;
mod shorten;
mod wanted;

use std::collections::HashSet;

use serde_json::Value;

use self::wanted::Known;
use super::{Excess, Rewriter, ToolLimits, context::Context, matching::Glob, prose};
use crate::chat::{Role, Tool, ToolChoice};

/// Tokens that chat templates put around tool definitions.
pub(super) const FRAME: u32 = 160;

/// Keeps tool definitions within the model's limits.
pub(super) fn apply(request: &mut Rewriter<'_>, context: &Context<'_>) {
    let Some(limits) = &context.settings.tools else {
        return;
    };
    if request.tools().is_empty() || limits.on_excess == Excess::Keep {
        return;
    }
    let total: u32 = request
        .tools()
        .iter()
        .map(|tool| tokens(&tool.definition, context))
        .sum();
    if total <= limits.max_tokens {
        return;
    }
    let bound = bound(request, context);
    let chosen = match limits.on_excess {
        Excess::Keep => return,
        Excess::Drop => Chosen::only(bound),
        Excess::Prune => prune(request, context, bound, limits),
    };
    let kept: Vec<Tool> = request
        .tools()
        .iter()
        .zip(&chosen.why)
        .filter(|(_, why)| why.is_some())
        .map(|(tool, why)| match why {
            Some(Why { terse: true, .. }) => shorten::terse(tool),
            _ => shorten::tool(tool),
        })
        .collect();
    if kept.as_slice() != request.tools() {
        let what = chosen.told(request.tools());
        request.set_tools(kept, what);
    }
}

/// Why a tool stays, and whether there is room for its name and parameters only.
#[derive(Clone)]
struct Why {
    told: String,
    terse: bool,
}

/// Why each tool stays, and which ones were wanted and had no room.
struct Chosen {
    why: Vec<Option<Why>>,
    left_out: Vec<String>,
}

impl Chosen {
    fn only(bound: Vec<Option<&'static str>>) -> Self {
        let why = |why: &str| Why {
            told: why.to_owned(),
            terse: false,
        };
        Self {
            why: bound.into_iter().map(|bound| bound.map(why)).collect(),
            left_out: Vec::new(),
        }
    }

    /// For the trace.
    fn told(&self, tools: &[Tool]) -> String {
        let kept: Vec<String> = tools
            .iter()
            .zip(&self.why)
            .filter_map(|(tool, why)| Some(format!("{} ({})", tool.name, why.as_ref()?.told)))
            .collect();
        let mut told = format!("{} of {} tools kept", kept.len(), tools.len());
        match kept.as_slice() {
            [] => told.push_str(": nobody asked for one"),
            kept => told.push_str(&format!(": {}", kept.join(", "))),
        }
        if !self.left_out.is_empty() {
            told.push_str(&format!("; no room for {}", self.left_out.join(", ")));
        }
        told
    }
}

/// Tokens of a definition as chat templates write it: JSON with a space behind each comma and colon.
pub(super) fn tokens(definition: &Value, context: &Context<'_>) -> u32 {
    weight(definition, context.chars_per_token()).ceil() as u32
}

fn weight(value: &Value, chars_per_token: f32) -> f32 {
    let text = |text: &str| prose::tokens(text, chars_per_token);
    // Quotes, commas and colons share tokens with each other and with what is behind them.
    match value {
        Value::Null | Value::Bool(_) => 1.0,
        Value::Number(number) => text(&number.to_string()),
        Value::String(string) => 1.0 + text(string),
        Value::Array(items) => {
            1.0 + items
                .iter()
                .map(|item| weight(item, chars_per_token))
                .sum::<f32>()
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                2.0 + text(name) + weight(value, chars_per_token)
            };
            1.0 + fields.iter().map(field).sum::<f32>()
        }
    }
}

/// Why tools stay in any case: those that the conversation has used, and the one that must be called.
fn bound(request: &Rewriter<'_>, context: &Context<'_>) -> Vec<Option<&'static str>> {
    let used: HashSet<&str> = request
        .messages()
        .flat_map(|message| &message.tool_calls)
        .map(|call| call.name.as_str())
        .collect();
    let tools = request.tools().iter();
    tools
        .map(|tool| match &context.original.tool_choice {
            ToolChoice::Named(name) if *name == tool.name => Some("must be called"),
            _ => used.contains(tool.name.as_str()).then_some("used before"),
        })
        .collect()
}

/// Which tools stay: bound ones, those named in the last user message, and as far as they fit the wanted ones, then those
/// that somebody chose for this chat.
fn prune(
    request: &Rewriter<'_>,
    context: &Context<'_>,
    bound: Vec<Option<&'static str>>,
    limits: &ToolLimits,
) -> Chosen {
    let tools = request.tools();
    let messages = &context.original.messages;
    let known: Vec<Known> = tools.iter().map(Known::of).collect();
    let wants = wanted::wants(messages, &known);
    // An agent cannot work without its tools, whatever language it is spoken to in; neither can a client that insists.
    let insists =
        context.original.tool_choice == ToolChoice::Required || context.has_label("agent");
    let chosen_here = chosen_here(tools, &known, &limits.builtin);
    let is_chosen = |tool: usize| chosen_here.get(tool).copied().unwrap_or(false);
    let last = request.last(Role::User);
    let named = last
        .map(|last| wanted::named(&request.text(last), tools))
        .unwrap_or_default();
    let is_named = |tool: usize| named.get(tool).copied().unwrap_or(false);
    let bound_by = |tool: usize| bound.get(tool).copied().flatten();
    let want = |tool: usize| wants.get(tool).copied().flatten();
    let stays = |tool: usize| bound_by(tool).is_some() || is_named(tool);
    let mut order: Vec<usize> = (0..tools.len())
        .filter(|tool| stays(*tool) || want(*tool).is_some() || is_chosen(*tool) || insists)
        .collect();
    order.sort_by_cached_key(|tool| {
        let first = (bound_by(*tool).is_some(), is_named(*tool), want(*tool));
        // Of short ones more fit.
        let size = match (want(*tool), tools.get(*tool)) {
            (None, Some(tool)) => tokens(&tool.definition, context),
            _ => 0,
        };
        (std::cmp::Reverse((first, is_chosen(*tool))), size)
    });
    let mut chosen = Chosen {
        why: vec![None; tools.len()],
        left_out: Vec::new(),
    };
    let mut left = limits.max_tokens;
    for index in order {
        let (Some(tool), Some(known), Some(slot)) = (
            tools.get(index),
            known.get(index),
            chosen.why.get_mut(index),
        ) else {
            continue;
        };
        let room = |tool: Tool| left.checked_sub(tokens(&tool.definition, context));
        let short = room(shorten::tool(tool)).map(|left| (left, false));
        let fits = short.or_else(|| room(shorten::terse(tool)).map(|left| (left, true)));
        if fits.is_none() && !stays(index) {
            chosen.left_out.push(tool.name.clone());
            continue;
        }
        let terse;
        (left, terse) = fits.unwrap_or((0, true));
        let told = match (bound_by(index), want(index)) {
            (Some(why), _) => why.to_owned(),
            (None, _) if is_named(index) => "named".to_owned(),
            (None, Some(want)) => {
                let reason = wanted::reason(messages, want, known);
                format!("asked for: {reason}")
            }
            (None, None) if is_chosen(index) => "chosen for this chat".to_owned(),
            (None, None) => "the client insists".to_owned(),
        };
        *slot = Some(Why { told, terse });
    }
    chosen
}

/// Whether each tool was chosen for this chat: those that clients do not offer every time, and what goes with them.
/// Open WebUI offers `list_knowledge` where somebody gave the model documents; `query_knowledge_files` is there anyway.
fn chosen_here(tools: &[Tool], known: &[Known], builtin: &[Glob]) -> Vec<bool> {
    let is_builtin = |tool: &Tool| builtin.iter().any(|glob| glob.matches(&tool.name));
    let builtin: Vec<bool> = tools.iter().map(is_builtin).collect();
    let subjects: Vec<&[u64]> = known
        .iter()
        .zip(&builtin)
        .filter(|(_, builtin)| !**builtin)
        .filter_map(|(known, _)| known.name.get(1..))
        .filter(|subjects| !subjects.is_empty())
        .collect();
    let goes_with = |known: &Known| {
        let is_about =
            |subjects: &&[u64]| subjects.iter().all(|subject| known.name.contains(subject));
        subjects.iter().any(is_about)
    };
    known
        .iter()
        .zip(&builtin)
        .map(|(known, builtin)| !builtin || goes_with(known))
        .collect()
}

#[cfg(test)]
mod tests;
