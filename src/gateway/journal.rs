//! What the prompt log is told of a request. It is gathered on the way, without copies of what is large, and handed
//! over when the request has ended.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use http::HeaderMap;
use pingora_http::ResponseHeader;

use super::{decide::Decided, in_force::Settled, local::Sharing};
use crate::{
    chat::{self, Event, FinishReason, Sampling, Usage, answer::AnswerNotes},
    engine::Miss,
    excerpt,
    policy::{Redaction, Stage, Step, StepOutcome},
    promptlog::{Coding, Content, Entry, Kept, PromptLog, Record, ReplyBody, Timings},
};

/// `off` asks for the content not to be kept.
const OPT_OUT: &str = "x-rkgate-log";
/// Longest header value that is kept, in bytes.
const LONGEST_HEADER: usize = 512;

/// What the prompt log is told of one request.
#[derive(Debug)]
pub(super) struct Journal {
    log: Arc<PromptLog>,
    opt_out: bool,
    record: Record,
    /// `None` where no content is kept.
    content: Option<Content>,
    /// What the client asked about thinking, where the request no longer says so.
    thinking: Option<Option<bool>>,
    /// An upstream's answer as the client gets it.
    reply: Option<ReplyBody>,
    redaction: Arc<Redaction>,
}

/// How a request ended.
#[derive(Debug)]
pub(super) struct Ended<'a> {
    pub(super) class: &'static str,
    pub(super) model: Option<&'a str>,
    pub(super) provider: &'a str,
    pub(super) generation: u64,
    pub(super) status: u16,
    pub(super) error: Option<String>,
    pub(super) finish: Option<FinishReason>,
    pub(super) settled: Option<&'a Settled>,
    pub(super) sampling: Option<Sampling>,
    pub(super) usage: Option<Usage>,
    pub(super) miss: Option<Miss>,
    pub(super) queued: Option<Duration>,
    pub(super) first_token: Option<Duration>,
    pub(super) total: Duration,
    pub(super) decode: Option<Duration>,
}

impl Journal {
    /// Begins with what the header tells. `key` is the name of the API key that opened the door.
    pub(super) fn begin(
        log: &Arc<PromptLog>,
        id: &str,
        key: Option<&str>,
        headers: &HeaderMap,
        redaction: &Arc<Redaction>,
    ) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let opt_out = text(OPT_OUT).is_some_and(|value| value.trim().eq_ignore_ascii_case("off"));
        // Open WebUI sends a header empty where it has nothing to say.
        let said = |name: &str| text(name).filter(|value| !value.is_empty());
        let owned = |name: &str| said(name).map(|value| excerpt::name(value).into_owned());
        Self {
            record: Record {
                time: Utc::now().timestamp_millis(),
                request: id.to_owned(),
                conversation: owned("x-openwebui-chat-id"),
                client: key.map(str::to_owned).or_else(|| owned("user-agent")),
                user: owned("x-openwebui-user-id"),
                ..Record::default()
            },
            content: log.keeps_content(opt_out).then(|| Content {
                headers: kept(headers),
                ..Content::default()
            }),
            log: Arc::clone(log),
            opt_out,
            thinking: None,
            reply: None,
            redaction: Arc::clone(redaction),
        }
    }

    /// The model that was asked for; empty as long as that is not known.
    pub(super) fn asked(&self) -> &str {
        &self.record.asked
    }

    /// Notes what was decided.
    pub(super) fn decided(&mut self, decided: &mut Decided) {
        self.record.asked = excerpt::name(&decided.original.model).into_owned();
        self.record.labels.clone_from(&decided.decision.labels);
        if let Some(content) = &mut self.content {
            content.trace = Arc::new(std::mem::take(&mut decided.trace));
        }
    }

    /// Notes the request as it came.
    pub(super) fn came(&mut self, request: impl FnOnce() -> Arc<chat::Request>) {
        if let Some(content) = &mut self.content {
            content.before = request();
        }
    }

    /// Notes the request as it was sent. Where it is the one that came, `thinking` is what the client asked for.
    pub(super) fn sent(
        &mut self,
        came: Option<chat::Request>,
        sent: &Arc<chat::Request>,
        thinking: Option<bool>,
    ) {
        let Some(content) = &mut self.content else {
            return;
        };
        match came {
            Some(came) => {
                content.before = Arc::new(came);
                content.after = Some(Arc::clone(sent));
                self.thinking = None;
            }
            None => {
                content.before = Arc::clone(sent);
                content.after = None;
                self.thinking = Some(thinking);
            }
        }
    }

    /// Notes that the answer was made for another request, as this rule allows.
    pub(super) fn shared(&mut self, rule: Option<Arc<str>>, sharing: Sharing) {
        self.record.labels.push(sharing.as_str().into());
        if let (Some(content), Some(rule)) = (&mut self.content, rule) {
            let what = match sharing {
                Sharing::Cached => "answered from the cache",
                Sharing::Joined => "joined the run of another request",
            };
            Arc::make_mut(&mut content.trace).steps.push(Step {
                stage: Stage::Answer,
                rule,
                origin: None,
                outcome: StepOutcome::Matched {
                    what: what.to_owned(),
                },
            });
        }
    }

    /// Notes what the rules have done to the answer.
    pub(super) fn noted(&mut self, notes: &AnswerNotes) {
        let Some(content) = &mut self.content else {
            return;
        };
        let steps = notes.words().into_iter().map(|what| Step {
            stage: Stage::Answer,
            rule: "answer".into(),
            origin: None,
            outcome: StepOutcome::Matched { what },
        });
        let mut steps = steps.peekable();
        if steps.peek().is_some() {
            Arc::make_mut(&mut content.trace).steps.extend(steps);
        }
    }

    /// Notes a piece of the answer.
    pub(super) fn said(&mut self, events: &[Event]) {
        if let Some(content) = &mut self.content {
            content.answer.extend(events.iter().cloned());
        }
    }

    /// From here on, the answer is what the client is sent.
    pub(super) fn listen(&mut self) {
        self.reply = self.content.is_some().then(ReplyBody::default);
    }

    /// Notes the header of an answer that is listened to.
    pub(super) fn header(&mut self, header: &ResponseHeader, is_stream: bool) {
        if let Some(reply) = &mut self.reply {
            let encoding = header.headers.get(http::header::CONTENT_ENCODING);
            let coding = match encoding.map(|encoding| encoding.to_str().unwrap_or("?")) {
                None | Some("identity") => Coding::Identity,
                Some(name) if name.eq_ignore_ascii_case("gzip") => Coding::Gzip,
                Some(name) => Coding::Other(excerpt::name(name).into_owned()),
            };
            *reply = ReplyBody::new(is_stream, coding);
        }
    }

    /// Notes a piece of the body of an answer that is listened to.
    pub(super) fn body(&mut self, piece: &[u8]) {
        if let Some(reply) = &mut self.reply {
            reply.push(piece);
        }
    }

    /// Hands over what was gathered.
    pub(super) fn end(self, ended: Ended<'_>) {
        let Self {
            log,
            opt_out,
            record,
            mut content,
            thinking,
            reply,
            redaction,
        } = self;
        if let Some(content) = &mut content {
            let asked = ended.settled;
            content.sampling = ended.sampling.unwrap_or_default();
            content.max_tokens = asked.and_then(|settled| settled.max_tokens);
            content.thinking = asked.and_then(|settled| settled.thinking);
        }
        let is_unread = |content: &Content| *content.before == chat::Request::default();
        let kept = match content.take_if(|content| is_unread(content)) {
            Some(_) => Kept::Unread,
            None => record.kept,
        };
        log.send(Entry {
            record: Record {
                class: ended.class.into(),
                model: ended.model.unwrap_or_default().into(),
                provider: ended.provider.to_owned(),
                profile: ended.settled.and_then(|settled| settled.profile.clone()),
                policy: ended.generation,
                status: ended.status,
                finish: ended.finish.map(|reason| reason.as_str().into()),
                error: ended.error,
                usage: ended.usage,
                miss: ended.miss,
                timings: Timings {
                    queued: ended.queued,
                    first_token: ended.first_token,
                    total: ended.total,
                    decode: ended.decode,
                },
                kept,
                content,
                ..record
            },
            reply,
            thinking,
            opt_out,
            redaction,
        });
    }
}

/// What names of headers have in them whose values could let somebody in.
const SECRET: [&str; 20] = [
    "assert",
    "auth",
    "bearer",
    "cert",
    "cookie",
    "cred",
    "csrf",
    "hmac",
    "jwt",
    "key",
    "oidc",
    "otp",
    "pass",
    "principal",
    "saml",
    "secret",
    "session",
    "sign",
    "ticket",
    "token",
];

/// The headers that rules can look at, without those that could let somebody in.
fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let secret = |name: &str| SECRET.iter().any(|word| name.contains(word));
    // The beginning of JSON in Base64, as tokens have it, under whatever name.
    let token = |value: &str| value.contains("eyJ");
    headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-") && !secret(name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .filter(|(name, value)| {
            *name != "x-request-id" && value.len() <= LONGEST_HEADER && !token(value)
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_let_somebody_in_are_not_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer secret"),
            ("cookie", "session=1"),
            ("x-api-key", "secret"),
            ("x-openwebui-user-jwt", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"),
            ("x-forwarded-access-token", "secret"),
            ("x-goog-iap-jwt-assertion", "secret"),
            ("x-amzn-oidc-data", "secret"),
            ("x-amz-security-token", "secret"),
            ("x-hub-signature-256", "secret"),
            ("x-original-cookie", "secret"),
            ("x-client-cert", "secret"),
            ("x-csrftoken", "secret"),
            ("x-vault-passphrase", "secret"),
            ("x-ms-client-principal", "secret"),
            ("x-credentials", "secret"),
            ("x-from-proxy", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"),
            ("x-openwebui-chat-id", "c1"),
            ("x-long", &"x".repeat(LONGEST_HEADER + 1)),
        ] {
            headers.insert(
                http::HeaderName::try_from(name).unwrap(),
                value.parse().unwrap(),
            );
        }
        assert_eq!(
            kept(&headers),
            [("x-openwebui-chat-id".to_owned(), "c1".to_owned())]
        );
    }
}
