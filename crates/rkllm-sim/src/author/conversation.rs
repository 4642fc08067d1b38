//! The prompt, read back into turns.

use super::{Prompt, tools::Tool};
use crate::Family;

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
    Tool,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) text: String,
}

/// What the model knows when it begins to answer.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) family: Family,
    /// All system text but the definitions of functions.
    pub(crate) system: String,
    pub(crate) tools: Vec<Tool>,
    /// Turns in order, without system turns and without the answer that is being written.
    pub(crate) turns: Vec<Turn>,
    /// What stands in the prompt behind the header of the answer.
    pub(crate) opened: String,
    pub(crate) images: usize,
    /// The prompt up to the answer.
    pub(crate) before_answer: String,
}

/// How a family marks turns: what opens one, what ends the role's name, what ends the turn.
struct Markup {
    open: &'static str,
    role_end: &'static str,
    end: &'static str,
}

fn markup(family: Family) -> Markup {
    match family {
        Family::Qwen2 | Family::Qwen3 | Family::Qwen3Vl | Family::MiniCpm => Markup {
            open: "<|im_start|>",
            role_end: "\n",
            end: "<|im_end|>",
        },
        Family::Gemma => Markup {
            open: "<start_of_turn>",
            role_end: "\n",
            end: "<end_of_turn>",
        },
        Family::Phi3 => Markup {
            open: "<|",
            role_end: "|>\n",
            end: "<|end|>",
        },
        Family::Llama3 => Markup {
            open: "<|start_header_id|>",
            role_end: "<|end_header_id|>\n\n",
            end: "<|eot_id|>",
        },
    }
}

const IMAGE_MARKS: [&str; 4] = [
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<|image_pad|>",
    "<start_of_image>",
    "<image>",
];

impl Conversation {
    pub(crate) fn read(prompt: &Prompt<'_>) -> Self {
        let mut read = Self {
            family: prompt.family,
            system: String::new(),
            tools: Vec::new(),
            turns: Vec::new(),
            opened: String::new(),
            images: count_images(prompt.text),
            before_answer: String::new(),
        };
        let mut rest = prompt.text;
        let mut last_start = 0;
        let mut last_closed = true;
        while let Some((start, role, text, closed, after)) = next_turn(rest, &markup(prompt.family))
        {
            last_start = prompt.text.len() - rest.len() + start;
            last_closed = closed;
            rest = after;
            read.add(role, text);
        }
        let unfinished = matches!(
            read.turns.last(),
            Some(Turn {
                role: Role::Assistant,
                ..
            })
        ) && !last_closed;
        if unfinished {
            read.opened = read.turns.pop().map(|turn| turn.text).unwrap_or_default();
            read.before_answer = prompt.text.get(..last_start).unwrap_or_default().to_owned();
        } else {
            read.before_answer = prompt.text.to_owned();
        }
        if read.turns.is_empty() && read.system.is_empty() {
            // Bare text, without the markup of a conversation.
            read.turns.push(Turn {
                role: Role::User,
                text: prompt.text.to_owned(),
            });
        }
        read.tools = super::tools::offered(&read.system);
        // What definitions say is no instruction.
        let end = if read.tools.is_empty() {
            None
        } else {
            read.system.find("# Tools")
        };
        read.system.truncate(end.unwrap_or(read.system.len()));
        read
    }

    fn add(&mut self, role: &str, text: &str) {
        let role = match role {
            "system" => {
                if !self.system.is_empty() {
                    self.system.push('\n');
                }
                self.system.push_str(text);
                return;
            }
            "assistant" | "model" => Role::Assistant,
            "tool" => Role::Tool,
            _ if text.trim_start().starts_with("<tool_response>") => Role::Tool,
            _ => Role::User,
        };
        self.turns.push(Turn {
            role,
            text: text.to_owned(),
        });
    }

    /// The last thing that a person said, as it stands in the prompt.
    pub(crate) fn last_user(&self) -> &str {
        self.user_turns().next_back().unwrap_or_default()
    }

    /// What a person said, oldest first.
    pub(crate) fn user_turns(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.turns
            .iter()
            .filter(|turn| turn.role == Role::User)
            .map(|turn| turn.text.as_str())
    }

    /// The question itself, without what clients put around it.
    pub(crate) fn question(&self) -> String {
        let question = question(self.last_user());
        // Gemma has no system role: the system text stands before the first question.
        let first = self.family == Family::Gemma && self.user_turns().count() == 1;
        match question.rsplit_once("\n\n") {
            Some((_, last)) if first => last.to_owned(),
            _ => question,
        }
    }

    /// The question before the last one; empty on the first turn.
    pub(crate) fn previous_question(&self) -> String {
        self.user_turns()
            .rev()
            .nth(1)
            .map(question)
            .unwrap_or_default()
    }

    /// Whether the model is one that thinks before it answers.
    pub(crate) fn thinks(&self) -> bool {
        self.family == Family::Qwen3
    }

    /// What is left to say of `answer` if some of it stands in the prompt already.
    pub(crate) fn continued<'a>(&self, answer: &'a str) -> &'a str {
        let said = self.opened.rsplit("</think>").next().unwrap_or_default();
        if said.contains("<think>") {
            return answer;
        }
        let said = said.trim_start();
        // Clients give back what was said without the white space at its end, or with a blank too many.
        let at_end = || Some(answer.strip_prefix(said.trim_end())?.trim_start());
        answer.strip_prefix(said).or_else(at_end).unwrap_or(answer)
    }
}

/// The first turn in `text`: where it starts, role, content, whether it is closed, and what follows.
fn next_turn<'a>(
    text: &'a str,
    markup: &Markup,
) -> Option<(usize, &'a str, &'a str, bool, &'a str)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find(markup.open)?;
        let behind = text.get(start + markup.open.len()..)?;
        let name = behind
            .find(markup.role_end)
            .and_then(|end| behind.get(..end));
        // The opening mark of Phi-3 begins other control tokens too.
        let Some(role) =
            name.filter(|name| matches!(*name, "system" | "user" | "assistant" | "model" | "tool"))
        else {
            from = start + markup.open.len();
            continue;
        };
        let content = behind.get(role.len() + markup.role_end.len()..)?;
        let (content, closed, rest) = match content.split_once(markup.end) {
            Some((content, rest)) => (content, true, rest),
            None => (content, false, ""),
        };
        return Some((start, role, content, closed, rest));
    }
}

fn count_images(text: &str) -> usize {
    let tokens = text.matches("<|image_pad|>").count();
    // An image may stand for many pad tokens; the marks around it are one each.
    let started = text.matches("<|vision_start|>").count();
    let inline = text.matches("<start_of_image>").count() + text.matches("<image>").count();
    if started > 0 {
        started + inline
    } else {
        tokens.min(1) + inline
    }
}

/// `text` without retrieved context, attached files, the code interpreter's instructions, images and switches.
fn question(text: &str) -> String {
    let mut text = match text.rfind("</context>") {
        Some(at) => text.get(at + "</context>".len()..).unwrap_or_default(),
        None => super::context::numbered(text).map_or(text, |(_, question)| question),
    };
    if let Some((_, after)) = text.rsplit_once("</memory_context>") {
        text = after;
    }
    for instructions in ["\n#### Code Interpreter", "\n#### Tools Available"] {
        if let Some(at) = text.find(instructions) {
            text = text.get(..at).unwrap_or_default();
        }
    }
    let mut text = match text.split_once("<attached_files>") {
        Some((before, rest)) => format!(
            "{before}{}",
            rest.split_once("</attached_files>")
                .map_or("", |(_, after)| after)
        ),
        None => text.to_owned(),
    };
    for mark in IMAGE_MARKS
        .iter()
        .chain(&["<user_query>", "</user_query>", "/no_think", "/think"])
    {
        text = text.replace(mark, "");
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampling;

    fn read(family: Family, text: &str) -> Conversation {
        Conversation::read(&Prompt {
            family,
            text,
            sampling: Sampling::default(),
            faults: super::super::Faults::default(),
        })
    }

    #[test]
    fn every_family_is_read_back_into_turns() {
        for (family, text) in [
            (
                Family::Qwen3,
                "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n<|im_start|>user\nC<|im_end|>\n<|im_start|>assistant\n",
            ),
            (
                Family::Phi3,
                "<|system|>\nS<|end|>\n<|user|>\nA<|end|>\n<|assistant|>\nB<|end|>\n<|user|>\nC<|end|>\n<|assistant|>\n",
            ),
            (
                Family::Llama3,
                "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nA<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nB<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nC<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
            ),
        ] {
            let read = read(family, text);
            assert_eq!(read.system, "S", "{family:?}");
            let turns: Vec<(Role, &str)> = read
                .turns
                .iter()
                .map(|turn| (turn.role, turn.text.as_str()))
                .collect();
            assert_eq!(
                turns,
                [(Role::User, "A"), (Role::Assistant, "B"), (Role::User, "C")],
                "{family:?}"
            );
            assert_eq!(read.opened, "");
        }
        let gemma = read(
            Family::Gemma,
            "<bos><start_of_turn>user\nS\n\nA<end_of_turn>\n<start_of_turn>model\n",
        );
        assert_eq!(gemma.last_user(), "S\n\nA");
    }

    #[test]
    fn an_unfinished_answer_is_continued() {
        let read = read(
            Family::Qwen3,
            "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nThe sea is",
        );
        assert_eq!(read.opened, "The sea is");
        assert_eq!(read.continued("The sea is wide."), " wide.");
        assert_eq!(read.continued("Other."), "Other.");
        let blank = Conversation {
            opened: "The sea is \n".to_owned(),
            ..read.clone()
        };
        assert_eq!(blank.continued("The sea is wide."), "wide.");
        assert!(!read.before_answer.contains("The sea"));
    }

    #[test]
    fn bare_text_is_one_turn() {
        assert_eq!(
            read(Family::Qwen3, "Once upon a time").last_user(),
            "Once upon a time"
        );
    }

    #[test]
    fn a_question_is_found_inside_what_clients_put_around_it() {
        let text = "### Task:\n<context>\n<source id=\"1\">x</source>\n</context>\n\n<attached_files>\n<file/>\n</attached_files>\n\nHow many? /no_think\n\n#### Code Interpreter\nuse it";
        assert_eq!(question(text), "How many?");
    }

    #[test]
    fn images_are_counted_by_their_marks() {
        assert_eq!(
            count_images("<|vision_start|><|image_pad|><|image_pad|><|vision_end|> and <image>"),
            2
        );
        assert_eq!(count_images("text"), 0);
    }
}
