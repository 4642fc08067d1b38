//! Tool definitions: all of them, the ones that the conversation needs, or none.
//!
//! Definitions stand at the beginning of the prompt, so that another choice means reading the whole conversation again.
//! So a tool is chosen by what each user message in turn asks for, and stays: plain turns in between change nothing.

mod shorten;
mod wanted;

use std::collections::HashSet;

use serde_json::Value;

use super::{Excess, Rewriter, context::Context, prose};
use crate::chat::{Role, Tool, ToolChoice};

/// Tokens that chat templates put around tool definitions.
pub(super) const FRAME: u32 = 160;

/// Keeps tool definitions within the model's limits.
pub(super) fn apply(request: &mut Rewriter<'_>, context: &Context<'_>) {
    let Some(limits) = context.settings.tools else {
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
        Excess::Drop => bound,
        Excess::Prune => prune(request, context, bound, limits.max_tokens),
    };
    let kept: Vec<Tool> = request
        .tools()
        .iter()
        .zip(&chosen)
        .filter(|(_, chosen)| **chosen)
        .map(|(tool, _)| shorten::tool(tool))
        .collect();
    if kept.as_slice() != request.tools() {
        let what = format!("{} of {} tools kept", kept.len(), request.tools().len());
        request.set_tools(kept, what);
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

/// Which tools stay in any case: those that the conversation has used, and the one that must be called.
fn bound(request: &Rewriter<'_>, context: &Context<'_>) -> Vec<bool> {
    let mut names: HashSet<&str> = request
        .messages()
        .flat_map(|message| &message.tool_calls)
        .map(|call| call.name.as_str())
        .collect();
    if let ToolChoice::Named(name) = &context.original.tool_choice {
        names.insert(name);
    }
    request
        .tools()
        .iter()
        .map(|tool| names.contains(tool.name.as_str()))
        .collect()
}

/// Which tools stay: bound ones, those named in the last user message, and as many of the wanted ones as fit.
fn prune(
    request: &Rewriter<'_>,
    context: &Context<'_>,
    bound: Vec<bool>,
    budget: u32,
) -> Vec<bool> {
    let tools = request.tools();
    let wants = wanted::wants(&context.original.messages, tools);
    // An agent cannot work without its tools, whatever language it is spoken to in; neither can a client that insists.
    let insists =
        context.original.tool_choice == ToolChoice::Required || context.has_label("agent");
    let last = request.last(Role::User);
    let named = last
        .map(|last| wanted::named(&request.text(last), tools))
        .unwrap_or_default();
    let mut order: Vec<usize> = (0..tools.len())
        .filter(|tool| {
            is(&named, *tool)
                || is(&bound, *tool)
                || insists
                || wants.get(*tool).is_some_and(Option::is_some)
        })
        .collect();
    order.sort_by_key(|tool| {
        let want = wants.get(*tool).copied().flatten();
        std::cmp::Reverse((is(&bound, *tool), is(&named, *tool), want))
    });
    let mut chosen = vec![false; tools.len()];
    let mut left = budget;
    for index in order {
        let Some(tool) = tools.get(index) else {
            continue;
        };
        let tokens = tokens(&shorten::tool(tool).definition, context);
        let fits = left.checked_sub(tokens);
        if fits.is_some() || is(&bound, index) || is(&named, index) {
            left = fits.unwrap_or(0);
            if let Some(chosen) = chosen.get_mut(index) {
                *chosen = true;
            }
        }
    }
    chosen
}

fn is(flags: &[bool], index: usize) -> bool {
    flags.get(index).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests;
