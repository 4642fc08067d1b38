//! How servers are told whether a model is to think.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::{Content, Message, Part, Request, Role};

/// The spelling that an upstream understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkSwitch {
    /// `chat_template_kwargs.enable_thinking`: llama.cpp, vLLM, SGLang.
    ChatTemplateKwargs,
    /// `think`: Ollama and what speaks like it.
    Think,
    /// `/no_think` behind the last user message: Qwen3 behind anything. There is no need for the opposite.
    NoThink,
    /// None: the request stays as it is.
    #[default]
    None,
}

impl ThinkSwitch {
    /// Says in the request itself what [`Request::thinking`] says; `None` there says nothing.
    ///
    /// A field that says the contrary is taken out, since servers differ in which one counts. One that agrees stays:
    /// an effort says more than on.
    pub fn apply(self, request: &mut Request) {
        let Some(wanted) = request.thinking else {
            return;
        };
        match self {
            Self::None => return,
            Self::ChatTemplateKwargs => {
                let kwargs = request.extra.entry("chat_template_kwargs");
                let kwargs = kwargs.or_insert_with(|| Value::Object(Map::new()));
                if !kwargs.is_object() {
                    *kwargs = Value::Object(Map::new());
                }
                if let Value::Object(kwargs) = kwargs {
                    kwargs.insert("enable_thinking".to_owned(), wanted.into());
                }
            }
            Self::Think => {
                let said = request.extra.get("think").and_then(meaning);
                if said != Some(wanted) {
                    request.extra.insert("think".to_owned(), wanted.into());
                }
            }
            Self::NoThink => {
                let last = request.messages.iter_mut().rev();
                let last = last.into_iter().find(|message| message.role == Role::User);
                if let (false, Some(message)) = (wanted, last) {
                    append_no_think(message);
                }
            }
        }
        remove_contrary(&mut request.extra, wanted);
    }
}

/// Whether a value of `think` or `reasoning_effort` means thinking.
pub(super) fn meaning(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(switch) => Some(*switch),
        Value::String(effort) => match effort.trim().to_ascii_lowercase().as_str() {
            "none" | "minimal" | "false" | "off" => Some(false),
            "low" | "medium" | "high" | "xhigh" | "max" | "true" | "on" => Some(true),
            _ => None,
        },
        _ => None,
    }
}

fn remove_contrary(extra: &mut Map<String, Value>, wanted: bool) {
    for name in ["enable_thinking", "think", "reasoning_effort"] {
        let said = extra.get(name).and_then(meaning);
        if said == Some(!wanted) {
            extra.shift_remove(name);
        }
    }
    if let Some(Value::Object(kwargs)) = extra.get_mut("chat_template_kwargs")
        && kwargs.get("enable_thinking") == Some(&Value::Bool(!wanted))
    {
        kwargs.shift_remove("enable_thinking");
    }
}

fn append_no_think(message: &mut Message) {
    const SWITCH: &str = "/no_think";
    if message.content.text().trim_end().ends_with(SWITCH) {
        return;
    }
    let append = |text: &mut String| {
        text.truncate(text.trim_end().len());
        text.push(' ');
        text.push_str(SWITCH);
    };
    match &mut message.content {
        Content::Text(text) => append(text),
        Content::Parts(parts) => {
            let last = parts.iter_mut().rev().find_map(|part| match part {
                Part::Text(text) => Some(text),
                Part::Image(_) | Part::Other(_) => None,
            });
            match last {
                Some(text) => append(text),
                None => parts.push(Part::Text(SWITCH.to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::{
        super::{decode_chat, encode_chat},
        *,
    };

    /// The body that an upstream gets if the policy wants this.
    fn sent(switch: ThinkSwitch, wanted: bool, fields: Value) -> Value {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi\n"}]});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let body = Bytes::from(body.to_string());
        let before = decode_chat(&body).unwrap();
        let mut after = before.clone();
        after.thinking = Some(wanted);
        switch.apply(&mut after);
        let mut sent: Value = serde_json::from_slice(&encode_chat(&body, &before, &after)).unwrap();
        let content = sent["messages"][0]["content"].take();
        let sent = sent.as_object_mut().unwrap();
        sent.retain(|name, _| name != "model" && name != "messages");
        json!([content, sent])
    }

    #[test]
    fn every_spelling() {
        use ThinkSwitch::{ChatTemplateKwargs, NoThink, Think};
        let off = json!({"chat_template_kwargs": {"enable_thinking": false}});
        let table = [
            (ChatTemplateKwargs, false, json!({}), json!(["Hi\n", off])),
            (ChatTemplateKwargs, false, off.clone(), json!(["Hi\n", off])),
            (
                ChatTemplateKwargs,
                true,
                json!({"chat_template_kwargs": {"a": 1}, "think": false, "reasoning_effort": "high"}),
                json!(["Hi\n", {"chat_template_kwargs": {"a": 1, "enable_thinking": true}, "reasoning_effort": "high"}]),
            ),
            (
                ChatTemplateKwargs,
                false,
                json!({"chat_template_kwargs": "x"}),
                json!(["Hi\n", off]),
            ),
            (
                Think,
                false,
                json!({"think": "high"}),
                json!(["Hi\n", {"think": false}]),
            ),
            (
                Think,
                true,
                json!({"think": "high"}),
                json!(["Hi\n", {"think": "high"}]),
            ),
            (
                Think,
                true,
                off.clone(),
                json!(["Hi\n", {"chat_template_kwargs": {}, "think": true}]),
            ),
            (
                NoThink,
                false,
                json!({"think": true}),
                json!(["Hi /no_think", {}]),
            ),
            (NoThink, true, json!({}), json!(["Hi\n", {}])),
            (
                ThinkSwitch::None,
                false,
                json!({"think": true}),
                json!(["Hi\n", {"think": true}]),
            ),
        ];
        for (switch, wanted, fields, expected) in table {
            assert_eq!(
                sent(switch, wanted, fields.clone()),
                expected,
                "{switch:?} {wanted} {fields}"
            );
        }
    }

    #[test]
    fn the_suffix_is_written_once_and_behind_the_text() {
        let request = |content: Value| {
            let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]});
            let mut request = decode_chat(body.to_string().as_bytes()).unwrap();
            request.thinking = Some(false);
            ThinkSwitch::NoThink.apply(&mut request);
            ThinkSwitch::NoThink.apply(&mut request);
            request.messages.remove(0).content
        };
        assert_eq!(
            request(json!("Hi /no_think")),
            Content::Text("Hi /no_think".into())
        );
        let image = json!({"type": "image_url", "image_url": {"url": "data:x"}});
        let text = json!({"type": "text", "text": "Look"});
        assert_eq!(
            request(json!([text, image])),
            Content::Parts(vec![
                Part::Text("Look /no_think".into()),
                Part::Image("data:x".into())
            ])
        );
        assert_eq!(
            request(json!([image])),
            Content::Parts(vec![
                Part::Image("data:x".into()),
                Part::Text("/no_think".into())
            ])
        );
    }
}
