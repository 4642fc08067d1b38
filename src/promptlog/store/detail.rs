//! What a record says beside its numbers, in the form in which it is kept.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    StoreError,
    texts::{New, Run, Texts, places, runs},
};
use crate::{
    chat::{self, Message, Part, Request, Role, Sampling, Tool, answer::Answer},
    policy::Trace,
    promptlog::{Content, Record},
};

pub(in crate::promptlog) use super::texts::Place;

/// Images from this size on are kept apart.
const LARGE_IMAGE: usize = 1024;
/// What stands for an image that is kept apart: `rkgate-log:image/RECORD/NUMBER`.
const IMAGE: &str = "rkgate-log:image/";
/// Characters of a preview.
const PREVIEW: usize = 120;

/// The JSON of a record. Later versions may add fields; they must have a default.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::promptlog) struct Detail {
    pub(in crate::promptlog) request: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::promptlog) conversation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::promptlog) instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::promptlog) client: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::promptlog) user: Option<String>,
    pub(in crate::promptlog) asked: String,
    pub(in crate::promptlog) provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::promptlog) error: Option<String>,
    /// The name of the record's miss; later versions may know more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::promptlog) miss: Option<Cow<'static, str>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(in crate::promptlog) preview: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Kept>,
    /// The texts that this record brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::promptlog) texts: Vec<String>,
}

/// Content, with the places of its texts.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    headers: Vec<Run>,
    before: Body,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Body>,
    trace: Vec<Run>,
    /// [`Used`], the visible text, the thinking, then the tool calls.
    answer: Vec<Run>,
}

/// A request.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    /// All but messages and tools.
    frame: Vec<Run>,
    /// A letter for each message: its role where the text is all there is to it, else `*` for one that is JSON.
    roles: String,
    messages: Vec<Run>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Run>,
}

/// How the answer was made.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Used {
    sampling: Sampling,
    max_tokens: Option<u32>,
    thinking: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
}

impl Detail {
    /// Takes a record apart; gives the images that are to be kept apart, too.
    pub(super) fn of(id: i64, record: &Record, mut texts: Texts<'_>) -> (Self, Vec<String>) {
        let content = record
            .content
            .as_ref()
            .map(|content| Kept::of(id, content, &mut texts));
        let New { texts, images } = texts.into_new();
        let detail = Self {
            request: record.request.clone(),
            conversation: record.conversation.clone(),
            instance: record.instance.clone(),
            client: record.client.clone(),
            user: record.user.clone(),
            asked: record.asked.clone(),
            provider: record.provider.clone(),
            error: record.error.clone(),
            miss: record.miss.map(|miss| miss.as_str().into()),
            preview: record.content.as_ref().map(preview).unwrap_or_default(),
            content,
            texts,
        };
        (detail, images)
    }

    /// The content again.
    pub(in crate::promptlog) fn content(
        &self,
        id: i64,
        from: &mut dyn Resolver,
    ) -> Result<Option<Content>, StoreError> {
        self.content
            .as_ref()
            .map(|kept| kept.content(id, from))
            .transpose()
    }
}

/// What finds texts and images of records.
pub(in crate::promptlog) trait Resolver {
    /// The text at a place.
    fn text(&mut self, place: Place) -> Result<&str, StoreError>;

    /// An image that was kept apart; `None` where its name will do.
    fn image(&mut self, record: i64, number: u32) -> Result<Option<String>, StoreError>;
}

/// The beginning of what the person said last, on one line.
pub(in crate::promptlog) fn preview(content: &Content) -> String {
    let text = content.last_user();
    let begin = text
        .char_indices()
        .nth(8 * PREVIEW)
        .map_or(text.len(), |(end, _)| end);
    let mut preview = String::new();
    for word in text[..begin].split_whitespace() {
        if !preview.is_empty() {
            preview.push(' ');
        }
        preview.push_str(word);
        if preview.len() > 4 * PREVIEW {
            break;
        }
    }
    match preview.char_indices().nth(PREVIEW) {
        Some((end, _)) => format!("{}...", &preview[..end]),
        None => preview,
    }
}

impl Kept {
    fn of(id: i64, content: &Content, texts: &mut Texts<'_>) -> Self {
        let headers: Vec<Place> = content
            .headers
            .iter()
            .map(|(name, value)| texts.place(format!("{name}: {value}").into()))
            .collect();
        let before = Body::of(id, &content.before, texts);
        let after = content
            .after
            .as_ref()
            .map(|after| Body::of(id, after, texts));
        let trace: Vec<Place> = content
            .trace
            .steps
            .iter()
            .map(|step| texts.place(json(step).into()))
            .collect();
        let used = Used {
            sampling: content.sampling,
            max_tokens: content.max_tokens,
            thinking: content.thinking,
            unread: content.unread.clone(),
        };
        let mut answer = vec![
            texts.place(json(&used).into()),
            texts.place(Cow::Borrowed(&content.answer.content)),
            texts.place(Cow::Borrowed(&content.answer.reasoning)),
        ];
        let calls = content.answer.tool_calls.iter();
        answer.extend(calls.map(|call| texts.place(json(call).into())));
        Self {
            headers: runs(id, headers),
            before,
            after,
            trace: runs(id, trace),
            answer: runs(id, answer),
        }
    }

    fn content(&self, id: i64, from: &mut dyn Resolver) -> Result<Content, StoreError> {
        let mut headers = Vec::new();
        for place in places(id, &self.headers) {
            let (name, value) = from.text(place)?.split_once(": ").unwrap_or_default();
            headers.push((name.to_owned(), value.to_owned()));
        }
        let steps = places(id, &self.trace).map(|place| parse(id, from.text(place)?));
        let trace = Trace {
            steps: steps.collect::<Result<_, StoreError>>()?,
        };
        let mut parts = places(id, &self.answer);
        let mut next = || {
            parts
                .next()
                .ok_or(StoreError::damaged(id, "its answer is cut"))
        };
        let used: Used = parse(id, from.text(next()?)?)?;
        let (text, reasoning) = (
            from.text(next()?)?.to_owned(),
            from.text(next()?)?.to_owned(),
        );
        let tool_calls = parts.map(|place| parse(id, from.text(place)?));
        let answer = Answer {
            content: text,
            reasoning,
            tool_calls: tool_calls.collect::<Result<_, StoreError>>()?,
        };
        let before = Arc::new(self.before.request(id, from)?);
        let after = self.after.as_ref().map(|body| body.request(id, from));
        Ok(Content {
            headers,
            before,
            after: after.transpose()?.map(Arc::new),
            trace: Arc::new(trace),
            sampling: used.sampling,
            max_tokens: used.max_tokens,
            thinking: used.thinking,
            answer,
            unread: used.unread,
        })
    }
}

impl Body {
    fn of(id: i64, request: &Request, texts: &mut Texts<'_>) -> Self {
        let frame = Request {
            messages: Vec::new(),
            tools: Vec::new(),
            model: request.model.clone(),
            tool_choice: request.tool_choice.clone(),
            stop: request.stop.clone(),
            extra: request.extra.clone(),
            ..*request
        };
        let frame = texts.place(json(&frame).into());
        let mut roles = String::new();
        let mut messages = Vec::new();
        for message in &request.messages {
            let (letter, text) = match plain(message) {
                Some(text) => (letter(message.role), Cow::Borrowed(text)),
                None => ('*', json(&without_images(message, texts)).into()),
            };
            roles.push(letter);
            messages.push(texts.place(text));
        }
        let tools: Vec<Place> = request
            .tools
            .iter()
            .map(|tool| texts.place(json(tool).into()))
            .collect();
        Self {
            frame: runs(id, [frame]),
            roles,
            messages: runs(id, messages),
            tools: runs(id, tools),
        }
    }

    fn request(&self, id: i64, from: &mut dyn Resolver) -> Result<Request, StoreError> {
        let frame = places(id, &self.frame).next();
        let frame = frame.ok_or(StoreError::damaged(id, "a request has no frame"))?;
        let mut request: Request = parse(id, from.text(frame)?)?;
        for (letter, place) in self.roles.chars().zip(places(id, &self.messages)) {
            let text = from.text(place)?;
            let message = match role(letter) {
                Some(role) => Message {
                    role,
                    content: chat::Content::Text(text.to_owned()),
                    reasoning: None,
                    tool_calls: Vec::new(),
                    tool_call_id: None,
                    extra: serde_json::Map::new(),
                },
                None => with_images(parse(id, text)?, from)?,
            };
            request.messages.push(message);
        }
        for place in places(id, &self.tools) {
            let tool: Tool = parse(id, from.text(place)?)?;
            request.tools.push(tool);
        }
        Ok(request)
    }
}

/// The text of a message that consists of nothing else.
fn plain(message: &Message) -> Option<&str> {
    match message {
        Message {
            role: _,
            content: chat::Content::Text(text),
            reasoning: None,
            tool_calls,
            tool_call_id: None,
            extra,
        } if tool_calls.is_empty() && extra.is_empty() => Some(text),
        _ => None,
    }
}

fn letter(role: Role) -> char {
    match role {
        Role::System => 's',
        Role::User => 'u',
        Role::Assistant => 'a',
        Role::Tool => 't',
    }
}

fn role(letter: char) -> Option<Role> {
    [Role::System, Role::User, Role::Assistant, Role::Tool]
        .into_iter()
        .find(|role| self::letter(*role) == letter)
}

/// The message with a name in place of each large image.
fn without_images<'m>(message: &'m Message, texts: &mut Texts<'_>) -> Cow<'m, Message> {
    // A name that a client wrote must not be taken for one of ours.
    let apart = |url: &str| url.len() >= LARGE_IMAGE || url.starts_with(IMAGE);
    let chat::Content::Parts(parts) = &message.content else {
        return Cow::Borrowed(message);
    };
    let any = parts
        .iter()
        .any(|part| matches!(part, Part::Image(url) if apart(url)));
    if !any {
        return Cow::Borrowed(message);
    }
    let parts = parts.iter().map(|part| match part {
        Part::Image(url) if apart(url) => {
            let Place { record, index } = texts.image(url);
            Part::Image(format!("{IMAGE}{record}/{index}"))
        }
        part => part.clone(),
    });
    Cow::Owned(Message {
        content: chat::Content::Parts(parts.collect()),
        ..message.clone()
    })
}

fn with_images(mut message: Message, from: &mut dyn Resolver) -> Result<Message, StoreError> {
    if let chat::Content::Parts(parts) = &mut message.content {
        for part in parts {
            let Part::Image(url) = part else { continue };
            let name = url
                .strip_prefix(IMAGE)
                .and_then(|name| name.split_once('/'));
            let place = name.and_then(|(id, n)| Some((id.parse().ok()?, n.parse().ok()?)));
            if let Some((record, number)) = place
                && let Some(image) = from.image(record, number)?
            {
                *url = image;
            }
        }
    }
    Ok(message)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn parse<T: DeserializeOwned>(id: i64, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::damaged(id, error))
}
