//! How a window may move from one request of a conversation to the next.

use rkgate::chat::{Message, Request, Role};

/// What stands where a message has lost its middle.
const MARK: &str = "\n[...]\n";

/// What has become of a conversation, of which each question begins with a number of its own.
///
/// Turns may be gone from the front, in a turn that is too long by itself also the first answers behind its question, and
/// long answers and results may have lost their middle, once and for all. All else is as it was, in its order, and what is
/// new follows.
///
/// A long question loses its middle when the next one comes. As long as it stood there as a whole it drove others out,
/// which may be back then.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trim {
    /// Messages that are gone.
    gone: usize,
    /// Messages that are cut.
    cut: usize,
    /// Messages that are new, where no question was cut.
    added: usize,
}

impl Trim {
    /// What has happened from one request to the next, which has so many more messages.
    ///
    /// # Errors
    /// What has happened that must not.
    pub(crate) fn between(before: &Request, now: &Request, more: usize) -> Result<Self, String> {
        let (system, old) = parts(before);
        let (system_now, new) = parts(now);
        if system != system_now {
            return Err("the system message has changed".to_owned());
        }
        let first = new.first().filter(|message| is_question(message));
        let first = number(first.ok_or("the first message is no question")?);
        let mut trim = Self::default();
        let was_cut = |question: &&Message| {
            let mut new = new.iter().filter(|new| is_question(new) && is_cut(new));
            !is_cut(question) && new.any(|new| number(new) == number(question))
        };
        if old
            .iter()
            .filter(|old| is_question(old))
            .any(|old| was_cut(&old))
        {
            trim.cut = 1;
            return Ok(trim);
        }
        let is_first = |old: &Message| is_question(old) && number(old) == first;
        trim.gone = old.iter().position(is_first).unwrap_or(old.len());
        let mut left = new;
        let mut behind_question = false;
        for old in &old[trim.gone..] {
            match left.first() {
                Some(new) if new == old => {}
                Some(new) if new.role == old.role && is_cut(new) && !is_cut(old) => trim.cut += 1,
                _ if behind_question && !is_question(old) => {
                    trim.gone += 1;
                    continue;
                }
                _ => return Err(format!("gone from the middle, or changed: {old:?}")),
            }
            behind_question = is_question(old);
            left = &left[1..];
        }
        trim.added = left.len();
        if trim.gone + trim.cut == 0 {
            return Err("nothing is gone".to_owned());
        }
        if trim.added > more {
            return Err("what was gone is back".to_owned());
        }
        Ok(trim)
    }
}

/// The system message and the others.
fn parts(request: &Request) -> (&[Message], &[Message]) {
    let messages = &request.messages[..];
    let is_system = messages
        .first()
        .is_some_and(|first| first.role == Role::System);
    messages.split_at(usize::from(is_system))
}

fn is_question(message: &Message) -> bool {
    message.role == Role::User
}

fn is_cut(message: &Message) -> bool {
    message.content.text().contains(MARK)
}

/// Which question it is.
fn number(question: &Message) -> String {
    let text = question.content.text();
    text.split('.').next().unwrap_or_default().to_owned()
}
