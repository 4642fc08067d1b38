#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;

const BODY: &str = r#"{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}"#;

fn from(text: &str) -> Result<Request, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("request.json");
    fs::write(&path, text).unwrap();
    read(&path).map_err(|unusable| match unusable {
        Unusable::Wrong(report) => {
            let dir = format!("{}/", dir.path().display());
            let shown = report.to_string().replace(&dir, "");
            shown
                .lines()
                .map(|line| format!("{}\n", line.trim_end()))
                .collect()
        }
        Unusable::Failed(failure) => panic!("{failure:?}"),
    })
}

#[test]
fn bodies_and_recordings_are_read() {
    let raw = Value::from(BODY).to_string();
    for text in [
        BODY.to_owned(),
        format!(r#"{{"body": {BODY}}}"#),
        format!(r#"{{"headers": {{"X-A": "1"}}, "body_raw": {raw}}}"#),
        format!(r#"{{"headers": [["X-A", "1"]], "path": "/v1/chat/completions", "body": {BODY}}}"#),
        format!(
            r#"{{"seq": 1, "request": {{"path": "/chat/completions?a", "headers": [["x-a", " 1 "]], "body_raw": {raw}, "body": {BODY}}}}}"#
        ),
        format!(
            r#"{{"id": 1, "content": {{"headers": {{"x-a": "1"}}, "before": {BODY}, "after": null}}}}"#
        ),
    ] {
        let request = from(&text).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(request.chat.model, "m", "{text}");
        let sent = text.to_lowercase().contains("x-a").then_some("1");
        assert_eq!(request.header("x-a"), sent, "{text}");
    }
}

#[test]
fn the_command_lines_headers_go_over_those_of_the_file() {
    let mut request = from(&format!(
        r#"{{"headers": {{"x-a": "1", "x-b": "2"}}, "body": {BODY}}}"#
    ))
    .unwrap();
    request.set(&[
        Header::parse("X-A=9").unwrap(),
        Header::parse("x-c=a=b").unwrap(),
    ]);
    let sent = ["x-a", "x-b", "x-c"].map(|name| request.header(name).unwrap().to_owned());
    assert_eq!(sent, ["9", "2", "a=b"]);
    assert!(Header::parse("x-a").is_err() && Header::parse("=1").is_err());
}

#[test]
fn what_is_wrong_is_pointed_at() {
    for (text, shown) in [
        (
            "{\n  \"model\": \"m\",\n  \"messages\": [{]\n}",
            "\
error[R001]: this is not JSON: key must be a string
  ┌─ request.json:3:17
  │
3 │   \"messages\": [{]
  │                 ^ here

",
        ),
        (
            "{\n  \"model\": \"m\",\n  \"messages\": [\n    {\"role\": \"usr\", \"content\": \"Hi\"}\n  ]\n}",
            "\
error[R003]: messages[0].role: must be system, developer, user, assistant or tool
  ┌─ request.json:4:14
  │
4 │     {\"role\": \"usr\", \"content\": \"Hi\"}
  │              ^^^^^

",
        ),
        (
            "{\"input\": \"Hi\"}",
            "\
error[R002]: this is no chat request: it has no `messages`
  ┌─ request.json:1:1
  │
1 │ {\"input\": \"Hi\"}
  │ ^
  │
  = help: give the body of a POST /v1/chat/completions; a recording of one, which is an object with `headers` and `body`, or one with these under `request`; or what `rkgate log show ID --format json` prints

",
        ),
        (
            "{\"request\": {\"path\": \"/api/chat\", \"body\": {\"messages\": []}}}",
            "\
error[R002]: this was not sent to a chat endpoint of the OpenAI API
  ┌─ request.json:1:22
  │
1 │ {\"request\": {\"path\": \"/api/chat\", \"body\": {\"messages\": []}}}
  │                      ^^^^^^^^^^^
  │
  = help: requests of the Ollama API cannot be explained yet; write it as the body of a POST /v1/chat/completions

",
        ),
        (
            "{\"headers\": [1], \"body\": {\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"\"}]}}",
            "\
error[R003]: headers: expected an object of strings, or a list of pairs of strings
  ┌─ request.json:1:13
  │
1 │ {\"headers\": [1], \"body\": {\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"\"}]}}
  │             ^^^

",
        ),
    ] {
        assert_eq!(from(text).unwrap_err(), shown);
    }
    for (text, start) in [
        (
            "[]",
            "error[R002]: this is no request: it is no JSON object\n",
        ),
        (
            "",
            "error[R001]: this is not JSON: EOF while parsing a value\n",
        ),
        (
            r#"{"body_raw": "{"}"#,
            "error[R003]: the request body is not valid JSON: ",
        ),
        (r#"{"body": [1]}"#, "error[R003]: "),
    ] {
        let report = from(text).unwrap_err();
        assert!(report.starts_with(start), "{report}");
    }
}

#[test]
fn bytes_that_are_no_text_are_pointed_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("request.json");
    fs::write(&path, b"{\"a\": \"\xff\"}").unwrap();
    let Err(Unusable::Wrong(report)) = read(&path) else {
        panic!("it was read");
    };
    assert!(report.to_string().contains(":1:8"), "{report}");
}

proptest! {
    #[test]
    fn every_file_is_a_request_or_a_report(
        text in "\\PC*|[{}\\[\\]\",:a-z0-9 \n]*",
        at in 0..BODY.len(),
    ) {
        let broken = format!("{}{text}{}", &BODY[..at], &BODY[at..]);
        for text in [text, broken] {
            if let Err(report) = from(&text) {
                prop_assert!(report.starts_with("error[R00"), "{}", report);
            }
        }
    }
}
