//! Tasks that chat clients give beside the chat: titles, tags, follow-ups, queries, completions, summaries.
//!
//! Recognised as a reader would: by the JSON key that is asked for, or by what the instructions say is wanted. They
//! stand at the head of a prompt, with examples, or in its last paragraph, in short.

use serde_json::json;

use super::{answer::Answer, chance::Chance, conversation::Conversation};

mod completion;
mod history;
mod memory;
mod subjects;
mod summary;
mod synthesis;

use history::History;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Title,
    /// A title as plain text: the form of old clients.
    PlainTitle,
    Tags,
    FollowUps,
    Queries,
    Completion,
    ImagePrompt,
    Emoji,
    Synthesis,
    ToolSelection,
    Summary,
    Memory,
}

pub(crate) fn answer(conversation: &Conversation, chance: &Chance) -> Option<Answer> {
    let prompt = conversation.last_user();
    let task = recognise(&conversation.system, prompt)?;
    let history = History::of(conversation, prompt);
    Some(match task {
        Task::Title => Answer::json(&json!({"title": subjects::title(&history, prompt, chance)})),
        Task::PlainTitle => Answer::exact(subjects::title(&history, prompt, chance)),
        Task::Tags => Answer::json(&json!({"tags": subjects::tags(&history)})),
        Task::FollowUps => {
            Answer::json(&json!({"follow_ups": subjects::follow_ups(&history, chance)}))
        }
        Task::Queries => Answer::json(&json!({"queries": subjects::queries(&history)})),
        Task::ImagePrompt => {
            Answer::json(&json!({"prompt": subjects::image_prompt(&history, chance)}))
        }
        Task::Completion => {
            Answer::json(&json!({"text": completion::complete(prompt, &history, chance)}))
        }
        Task::Emoji => Answer::exact(completion::emoji(prompt)),
        Task::Synthesis => Answer::prose(synthesis::merge(prompt)),
        Task::ToolSelection => super::tools::select(&conversation.system, prompt),
        Task::Summary => Answer::prose(summary::summarise(prompt)),
        Task::Memory => Answer::json(&memory::review(prompt)),
    })
}

fn recognise(system: &str, prompt: &str) -> Option<Task> {
    let instructions = format!("{system}\n{prompt}").to_lowercase();
    let says = |cue: &str| instructions.contains(cue);
    if system.contains("Available Tools:")
        || (system.starts_with("Tools:") && system.contains("\"tool_calls\""))
    {
        return Some(Task::ToolSelection);
    }
    if let Some(task) = ordered(prompt) {
        return Some(task);
    }
    if says("\"operations\"") && says("memor") {
        return Some(Task::Memory);
    }
    // Retrieved text may hold anything, JSON keys too; a question about it is no task.
    if prompt.contains("</context>") {
        return None;
    }
    if says("compacted out") || (says("summarize the conversation") && says("messages")) {
        return Some(Task::Summary);
    }
    if says("responses from models:") || says("synthesize these responses") {
        return Some(Task::Synthesis);
    }
    if says("emoji") && (says("facial expression") || says("fitting emoji") || says("single emoji"))
    {
        return Some(Task::Emoji);
    }
    if says("json") {
        let asked = asked(&instructions);
        // A key alone may stand in JSON that somebody talks about; the instructions name the chat or its text too.
        if let Some(task) = asked
            .filter(|_| says("history") || says("conversation") || says("<text>") || says("chat"))
        {
            return Some(task);
        }
    }
    (says("title") && says("word") && says("chat history")).then_some(Task::PlainTitle)
}

/// What the last paragraph orders, if what it is about stands before it.
fn ordered(prompt: &str) -> Option<Task> {
    let (quoted, order) = prompt.rsplit_once("\n\n")?;
    let order = order.to_lowercase();
    let says = |cue: &str| order.contains(cue);
    if says("json only") {
        let memory = says("\"operations\":").then_some(Task::Memory);
        return memory.or_else(|| asked(&order));
    }
    if says("title only") {
        Some(Task::PlainTitle)
    } else if says("one emoji only") {
        Some(Task::Emoji)
    } else if says("sum up all of the above") && quoted.contains("USER:") {
        Some(Task::Summary)
    } else if says("one good answer") && quoted.contains("\"\"\"") {
        Some(Task::Synthesis)
    } else {
        None
    }
}

/// The task whose JSON key stands in the instructions (lower case).
fn asked(instructions: &str) -> Option<Task> {
    let keys = [
        ("follow_ups", Task::FollowUps),
        ("queries", Task::Queries),
        ("tags", Task::Tags),
        ("title", Task::Title),
        ("prompt", Task::ImagePrompt),
        ("text", Task::Completion),
    ];
    let named = |key: &str| {
        [format!("\"{key}\":"), format!("\"{key}\" :")]
            .iter()
            .any(|spelt| instructions.contains(spelt))
    };
    keys.into_iter()
        .find(|(key, _)| named(key))
        .map(|(_, task)| task)
}

#[cfg(test)]
mod tests;
