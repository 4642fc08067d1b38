//! Reading a request to explain: a body as clients send it, or a recording of one with its headers.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use serde_json::{Map, Value};

use super::super::{Failure, code};
use crate::{
    chat,
    problem::{Problem, Report, Sources, Span},
    wire::openai::{DecodeError, decode_chat},
};

mod place;

/// The names of a body beside `headers`; the second is the body as text.
const RECORDED: [&str; 2] = ["body", "body_raw"];

const FORMS: &str = "give the body of a POST /v1/chat/completions; a recording of one, which is an object with `headers` \
                     and `body`, or one with these under `request`; or what `rkgate log show ID --format json` prints";

/// A request to explain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) chat: chat::Request,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

/// A header that the command line adds.
#[derive(Debug, Clone)]
pub(super) struct Header {
    name: String,
    value: String,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Unusable {
    /// The file cannot be read, or not in this way.
    Failed(Failure),
    /// It holds something else.
    Wrong(Report),
}

impl Header {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
        let name = name.trim().to_ascii_lowercase();
        if name.is_empty() {
            return Err("expected NAME=VALUE".to_owned());
        }
        let value = value.trim().to_owned();
        Ok(Self { name, value })
    }
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }

    /// Puts headers in the place of those that the request has.
    pub(super) fn set(&mut self, headers: &[Header]) {
        for header in headers {
            self.headers.retain(|(name, _)| *name != header.name);
            let header = (header.name.clone(), header.value.clone());
            self.headers.push(header);
        }
    }
}

/// Reads a file, or stdin where the path is `-`.
pub(super) fn read(path: &Path) -> Result<Request, Unusable> {
    let is_stdin = path.as_os_str() == "-";
    let mut bytes = Vec::new();
    let result = if is_stdin {
        io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        fs::read(path).map(|read| bytes = read)
    };
    let name = if is_stdin {
        "stdin".to_owned()
    } else {
        path.display().to_string()
    };
    result.map_err(|error| {
        let attempt = format!("cannot read {}", crate::cli::paint::line(&name));
        Unusable::Failed(Failure::because(code::IO, &attempt, &error))
    })?;
    let text = String::from_utf8(bytes);
    let (text, end) = match text {
        Ok(text) => (text, None),
        Err(error) => {
            let end = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            (text, Some(end))
        }
    };
    let wrong = |problem: Problem| {
        let mut sources = Sources::default();
        sources.add(crate::cli::paint::line(&name), text.as_str());
        Unusable::Wrong(Report {
            problems: vec![problem],
            sources,
        })
    };
    match end {
        None => understand(&text).map_err(wrong),
        Some(end) => Err(wrong(
            Problem::error("R001", "this is not UTF-8").at(Some(end..end), "the first such byte"),
        )),
    }
}

/// Where the parts of a recording stand.
struct Parts<'v> {
    headers: Option<&'v Value>,
    /// The way to the body's object.
    body: Vec<&'static str>,
    /// The endpoint that it was sent to, where it is told.
    path: Option<&'v str>,
}

fn understand(text: &str) -> Result<Request, Problem> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let fault = DecodeError::from(error);
        match &fault {
            DecodeError::Json {
                reason,
                line,
                column,
            } => Problem::error("R001", format!("this is not JSON: {reason}"))
                .at(Some(place::of_line(text, *line, *column)), "here"),
            DecodeError::Field { .. } => Problem::error("R001", fault.to_string()),
        }
    })?;
    let Value::Object(fields) = &value else {
        return Err(
            Problem::error("R002", "this is no request: it is no JSON object")
                .at(Some(place::of_start(text)), "")
                .help(FORMS),
        );
    };
    let parts = parts(fields);
    let Some(parts) = parts else {
        return Err(
            Problem::error("R002", "this is no chat request: it has no `messages`")
                .at(Some(place::of_start(text)), "")
                .help(FORMS),
        );
    };
    if let Some(path) = parts.path.filter(|path| !is_chat(path)) {
        return Err(other_endpoint(text, path, &parts));
    }
    let chat = body(text, &value, &parts.body)?;
    let headers = parts.headers.map_or(Ok(Vec::new()), |value| {
        headers(value).ok_or_else(|| {
            let way: Vec<&str> = parts
                .body
                .iter()
                .rev()
                .skip(1)
                .rev()
                .copied()
                .chain(["headers"])
                .collect();
            Problem::error(
                "R003",
                "headers: expected an object of strings, or a list of pairs of strings",
            )
            .at(Some(place::of(text, &way)), "")
        })
    })?;
    Ok(Request { chat, headers })
}

/// Finds body and headers; `None` where this is neither a body nor a recording.
fn parts(fields: &Map<String, Value>) -> Option<Parts<'_>> {
    if fields.contains_key("messages") {
        return Some(Parts {
            headers: None,
            body: Vec::new(),
            path: None,
        });
    }
    let found = |fields: &'_ Map<String, Value>, names: &[&'static str]| {
        let there = |name: &&&str| fields.get(**name).is_some_and(|body| !body.is_null());
        names.iter().find(there).copied()
    };
    let parts = |fields, body| Parts {
        headers: Map::get(fields, "headers"),
        body,
        path: Map::get(fields, "path").and_then(Value::as_str),
    };
    if let Some(body) = found(fields, &RECORDED) {
        return Some(parts(fields, vec![body]));
    }
    let within = [("request", RECORDED.as_slice()), ("content", &["before"])];
    within.into_iter().find_map(|(name, bodies)| {
        let inner = fields.get(name)?.as_object()?;
        Some(parts(inner, vec![name, found(inner, bodies)?]))
    })
}

fn is_chat(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or(path);
    path.trim_end_matches('/').ends_with("/chat/completions")
}

fn other_endpoint(text: &str, path: &str, parts: &Parts<'_>) -> Problem {
    let way: Vec<&str> = parts
        .body
        .iter()
        .rev()
        .skip(1)
        .rev()
        .copied()
        .chain(["path"])
        .collect();
    let problem = Problem::error(
        "R002",
        "this was not sent to a chat endpoint of the OpenAI API",
    )
    .at(Some(place::of(text, &way)), "");
    if path.starts_with("/api/") {
        problem.help("requests of the Ollama API cannot be explained yet; write it as the body of a POST /v1/chat/completions")
    } else {
        problem.help(FORMS)
    }
}

/// Decodes the body at the end of the way.
fn body(text: &str, value: &Value, way: &[&'static str]) -> Result<chat::Request, Problem> {
    let at = way.iter().try_fold(value, |value, name| value.get(name));
    let span = place::of(text, way);
    // A body that was kept as text has no places of its own.
    let (body, kept_as_text) = match at {
        Some(Value::String(raw)) => (raw.as_str(), true),
        _ => (text.get(span.clone()).unwrap_or_default(), false),
    };
    decode_chat(body.as_bytes()).map_err(|error| match &error {
        DecodeError::Field { param, problem } if !kept_as_text => {
            let found = place::of_param(text, way, param);
            Problem::error("R003", format!("{param}: {problem}")).at(Some(found), "")
        }
        error => Problem::error("R003", error.to_string()).at(Some(span), ""),
    })
}

/// Headers as an object or a list of pairs; `None` where they are something else.
fn headers(value: &Value) -> Option<Vec<(String, String)>> {
    let header = |name: &str, value: &Value| {
        let value = value.as_str()?.trim().to_owned();
        Some((name.trim().to_ascii_lowercase(), value))
    };
    match value {
        Value::Null => Some(Vec::new()),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| header(name, value))
            .collect(),
        Value::Array(pairs) => {
            let pair = |pair: &Value| match pair.as_array()?.as_slice() {
                [name, value] => header(name.as_str()?, value),
                _ => None,
            };
            pairs.iter().map(pair).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
