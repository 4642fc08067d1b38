//! Whether Open WebUI says what its requests are for.

use serde::Deserialize;

use super::{
    Finding,
    running::{KEY, Running},
};
use crate::config::Address;

const ABOUT: &str = "webui";

/// Of the last requests of a gateway, how many told which of Open WebUI's headers.
#[derive(Deserialize)]
struct Arrived {
    requests: usize,
    task: usize,
    chat: usize,
    user: usize,
}

/// What a gateway's state, asked for at this address, says of the headers.
pub(super) fn headers(admin: &Address, state: &Running) -> Finding {
    let arrived = match state {
        Running::Says(state) => state
            .get("open_webui")
            .and_then(|it| Arrived::deserialize(it).ok()),
        Running::Locked => {
            return Finding::warn(
                ABOUT,
                "the gateway that runs wants an API key before it says whether Open WebUI's headers arrive",
                format!("{KEY}=<key> rkgate doctor"),
            );
        }
        Running::No => None,
    };
    match arrived {
        None => Finding::ok(
            ABOUT,
            format!(
                "whether the headers below arrive is not known, as no gateway answers at {admin}: start one, chat, and \
look here or at the console's Set-up page"
            ),
        ),
        Some(Arrived { requests: 0, .. }) => Finding::ok(
            ABOUT,
            "no request has come yet: chat once, and look here or at the console's Set-up page",
        ),
        Some(Arrived {
            requests,
            task,
            chat,
            user,
        }) if task > 0 && chat > 0 => Finding::ok(
            ABOUT,
            format!(
                "of the last {requests} requests {task} told their task, {chat} their chat and {user} their user"
            ),
        ),
        Some(Arrived {
            requests,
            task,
            chat,
            ..
        }) => {
            let missing = [(task, "X-OpenWebUI-Task"), (chat, "X-OpenWebUI-Chat-Id")];
            let missing: Vec<_> = missing
                .iter()
                .filter(|(count, _)| *count == 0)
                .map(|(_, name)| *name)
                .collect();
            Finding::warn(
                ABOUT,
                format!(
                    "the last {requests} requests came without {}",
                    missing.join(" and ")
                ),
                "give Open WebUI's connection the headers below (Open WebUI 0.10.2 or later)",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;
    use crate::doctor::Status;

    #[test]
    fn what_arrives_is_told_and_what_is_missing_named() {
        let admin = Address::Tcp("127.0.0.1:3589".parse().unwrap());
        let arrived = |requests, task, chat, user| {
            let counts = json!({ "requests": requests, "task": task, "chat": chat, "user": user });
            Running::Says(json!({ "open_webui": counts }))
        };
        for (state, status, part) in [
            (
                Running::No,
                Status::Ok,
                "no gateway answers at 127.0.0.1:3589",
            ),
            // Somebody else's program.
            (Running::Says(json!([])), Status::Ok, "no gateway answers"),
            (Running::Locked, Status::Warn, "wants an API key"),
            (arrived(0, 0, 0, 0), Status::Ok, "no request has come yet"),
            (
                arrived(9, 6, 9, 8),
                Status::Ok,
                "9 requests 6 told their task, 9 their chat and 8 their user",
            ),
            (
                arrived(3, 0, 3, 0),
                Status::Warn,
                "without X-OpenWebUI-Task",
            ),
            (
                arrived(3, 0, 0, 0),
                Status::Warn,
                "without X-OpenWebUI-Task and X-OpenWebUI-Chat-Id",
            ),
        ] {
            let finding = headers(&admin, &state);
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.message.contains(part), "{finding:?}");
            assert_eq!(finding.fix.is_some(), status == Status::Warn);
        }
    }
}
