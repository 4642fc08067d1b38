//! The chat template that the runtime puts around prompt input.

use serde_json::Value;

use crate::Family;

/// What stands around a prompt.
#[derive(Debug, Clone, Default)]
pub(crate) enum Template {
    /// The family's own.
    #[default]
    Family,
    /// The family's own with function definitions.
    Tools(Tools),
    /// Set by the caller; thinking, roles and the family's system prompt no longer matter.
    Custom {
        system: String,
        prefix: String,
        postfix: String,
    },
}

/// Functions that the model may call.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) system: String,
    /// A JSON array.
    pub(crate) definitions: String,
    /// Name of the tag around a result.
    pub(crate) response_tag: String,
}

/// One prompt to be rendered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) text: &'a str,
    pub(crate) role: Role,
    pub(crate) enable_thinking: bool,
    /// Whether the cache is empty: later turns get no system part.
    pub(crate) first: bool,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Tool,
    /// Runtime 1.3.0 opens the answer twice.
    Assistant,
    /// Runtime 1.3.0 does not open the answer.
    Unset,
}

/// The markup of a family.
struct Markup {
    begin: &'static str,
    system: (&'static str, &'static str),
    default_system: &'static str,
    user: (&'static str, &'static str),
    assistant: &'static str,
    /// What an empty think block looks like, for families that think.
    no_thinking: &'static str,
}

fn markup(family: Family) -> Markup {
    let chatml = Markup {
        begin: "",
        system: ("<|im_start|>system\n", "<|im_end|>\n"),
        default_system: "",
        user: ("<|im_start|>user\n", "<|im_end|>\n"),
        assistant: "<|im_start|>assistant\n",
        no_thinking: "",
    };
    match family {
        Family::Qwen2 => Markup {
            default_system: "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
            ..chatml
        },
        Family::Qwen3 => Markup {
            no_thinking: "<think>\n\n</think>\n\n",
            ..chatml
        },
        Family::Qwen3Vl => chatml,
        Family::MiniCpm => Markup {
            begin: "<s>",
            ..chatml
        },
        // Gemma has no system role: the text opens the first user turn.
        Family::Gemma => Markup {
            begin: "<bos>",
            system: ("", "\n\n"),
            user: ("<start_of_turn>user\n", "<end_of_turn>\n"),
            assistant: "<start_of_turn>model\n",
            ..chatml
        },
        Family::Phi3 => Markup {
            system: ("<|system|>\n", "<|end|>\n"),
            user: ("<|user|>\n", "<|end|>\n"),
            assistant: "<|assistant|>\n",
            ..chatml
        },
        Family::Llama3 => Markup {
            begin: "<|begin_of_text|>",
            system: (
                "<|start_header_id|>system<|end_header_id|>\n\n",
                "<|eot_id|>",
            ),
            user: ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
            assistant: "<|start_header_id|>assistant<|end_header_id|>\n\n",
            ..chatml
        },
    }
}

impl Template {
    /// The system part and the rest of what the model reads.
    pub(crate) fn render(&self, family: Family, turn: Turn<'_>) -> (String, String) {
        let markup = markup(family);
        let (system, tag) = match self {
            Self::Custom {
                system,
                prefix,
                postfix,
            } => {
                let system = if turn.first {
                    system.clone()
                } else {
                    String::new()
                };
                return (system, format!("{prefix}{}{postfix}", turn.text));
            }
            Self::Tools(tools) => (with_tools(tools), tools.response_tag.as_str()),
            Self::Family => (markup.default_system.to_owned(), "tool_response"),
        };
        let content = if turn.role == Role::Tool {
            tool_results(turn.text, tag)
        } else {
            turn.text.to_owned()
        };
        let (open, close) = markup.user;
        let mut begin = String::new();
        let mut rest = String::from(open);
        if turn.first {
            begin.push_str(markup.begin);
            if !system.is_empty() {
                let part = format!("{}{system}{}", markup.system.0, markup.system.1);
                let place = if markup.system.0.is_empty() {
                    &mut rest
                } else {
                    &mut begin
                };
                place.push_str(&part);
            }
        }
        rest.push_str(&content);
        rest.push_str(close);
        let answers = match turn.role {
            Role::User | Role::Tool => 1,
            Role::Assistant => 2,
            Role::Unset => 0,
        };
        rest.push_str(&markup.assistant.repeat(answers));
        if !turn.enable_thinking && answers > 0 {
            rest.push_str(markup.no_thinking);
        }
        (begin, rest)
    }
}

fn with_tools(tools: &Tools) -> String {
    let definitions: Vec<String> = match serde_json::from_str(&tools.definitions) {
        Ok(Value::Array(list)) => list.iter().map(Value::to_string).collect(),
        _ => vec![tools.definitions.clone()],
    };
    format!(
        "{}\n\n# Tools\n\nFunctions you may call, one per line:\n<tools>\n{}\n</tools>\n\nTo call one, answer:\n\
         <tool_call>\n{{\"name\": <function-name>, \"arguments\": <args-json-object>}}\n</tool_call>",
        tools.system,
        definitions.join("\n"),
    )
}

/// A JSON array is a list of results, anything else is one.
fn tool_results(text: &str, tag: &str) -> String {
    let results = match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list,
        _ => vec![Value::String(text.to_owned())],
    };
    let wrapped = results.iter().map(|result| match result {
        Value::String(text) => format!("<{tag}>\n{text}\n</{tag}>"),
        other => format!("<{tag}>\n{other}\n</{tag}>"),
    });
    wrapped.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Turn<'_> = Turn {
        text: "Hi",
        role: Role::User,
        enable_thinking: false,
        first: true,
    };

    fn whole(template: &Template, family: Family, turn: Turn<'_>) -> String {
        let (system, rest) = template.render(family, turn);
        system + &rest
    }

    #[test]
    fn qwen2_gets_its_default_system_prompt_on_the_first_turn_only() {
        let first = whole(&Template::Family, Family::Qwen2, USER);
        assert_eq!(
            first,
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n\
             <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
        let later = whole(
            &Template::Family,
            Family::Qwen2,
            Turn {
                first: false,
                ..USER
            },
        );
        assert_eq!(
            later,
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn qwen3_is_told_not_to_think_by_an_empty_block() {
        let off = whole(&Template::Family, Family::Qwen3, USER);
        assert!(off.ends_with("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
        let on = whole(
            &Template::Family,
            Family::Qwen3,
            Turn {
                enable_thinking: true,
                ..USER
            },
        );
        assert!(on.ends_with("<|im_start|>assistant\n"));
    }

    #[test]
    fn a_custom_template_replaces_everything() {
        let custom = Template::Custom {
            system: "S ".into(),
            prefix: "<".into(),
            postfix: ">".into(),
        };
        assert_eq!(whole(&custom, Family::Qwen3, USER), "S <Hi>");
        assert_eq!(
            whole(
                &custom,
                Family::Qwen3,
                Turn {
                    first: false,
                    ..USER
                }
            ),
            "<Hi>"
        );
    }

    #[test]
    fn tool_results_are_wrapped_one_by_one() {
        let tools = Template::Tools(Tools {
            system: "Help.".into(),
            definitions: r#"[{"name":"f"},{"name":"g"}]"#.into(),
            response_tag: "tool_response".into(),
        });
        let turn = Turn {
            text: r#"[{"t":1},"two"]"#,
            role: Role::Tool,
            ..USER
        };
        let text = whole(&tools, Family::Qwen3, turn);
        assert!(
            text.contains("<tools>\n{\"name\":\"f\"}\n{\"name\":\"g\"}\n</tools>"),
            "{text}"
        );
        let results =
            "<tool_response>\n{\"t\":1}\n</tool_response>\n<tool_response>\ntwo\n</tool_response>";
        assert!(text.contains(results), "{text}");
    }

    #[test]
    fn roles_of_1_3_0_open_the_answer_twice_or_not_at_all() {
        let text = |role| whole(&Template::Family, Family::Phi3, Turn { role, ..USER });
        assert_eq!(
            text(Role::Assistant),
            "<|user|>\nHi<|end|>\n<|assistant|>\n<|assistant|>\n"
        );
        assert_eq!(text(Role::Unset), "<|user|>\nHi<|end|>\n");
    }

    #[test]
    fn gemma_puts_the_system_text_into_the_first_user_turn() {
        let tools = Template::Tools(Tools {
            system: "S".into(),
            definitions: "[]".into(),
            response_tag: "r".into(),
        });
        let text = whole(&tools, Family::Gemma, USER);
        assert!(
            text.starts_with("<bos><start_of_turn>user\nS\n\n# Tools"),
            "{text}"
        );
    }
}
