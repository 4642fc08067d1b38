//! Figures of a play: of each request, and in sum.

use std::{collections::HashMap, time::Duration};

use super::{Kind, Outcome, Play, Request, Turn};
use crate::engine::Miss;

/// What one request waited for and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// From sending it to the NPU's beginning; `None` if the NPU never did.
    pub wait: Option<Duration>,
    /// From sending it to the first text, of a streamed answer.
    pub first_text: Option<Duration>,
    /// From sending it to the end of the answer.
    pub total: Duration,
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Tokens that had to be read, in all its turns.
    pub computed: u32,
    /// Tokens generated.
    pub generated: u32,
    /// Time spent on the prompt.
    pub prefill: Duration,
    /// Time spent on the answer.
    pub decode: Duration,
    /// How long tasks had the NPU while it waited.
    pub behind_tasks: Duration,
}

/// A play in sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Time for which somebody had the NPU.
    pub busy: Duration,
    /// Of this, the decoding of answers to questions.
    pub answering: Duration,
    /// Prompt tokens that had to be read.
    pub computed: u64,
    /// Of these, those of questions.
    pub computed_for_chats: u64,
    /// Of these, tokens that had been read for the conversation's last turn already.
    pub read_again: u64,
    /// Of these, tokens that a task had driven out of the KV cache.
    pub read_again_for_tasks: u64,
    /// Prompt tokens that the KV cache held.
    pub reused: u64,
    /// Of these, those that came from a prompt cache file.
    pub loaded: u64,
    /// How long questions waited while tasks had the NPU.
    pub behind_tasks: Duration,
    /// Requests without an answer.
    pub failed: usize,
    /// From the first request to the last answer.
    pub length: Duration,
}

impl Sums {
    /// NPU time that went into anything but saying the answers.
    #[must_use]
    pub fn beside_answers(&self) -> Duration {
        self.busy.saturating_sub(self.answering)
    }
}

impl Play {
    /// The turns of a request.
    pub fn turns_of<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = &'a Turn> {
        self.turns.iter().filter(|turn| turn.request == request.id)
    }

    /// The questions of one person, in order.
    pub fn chats(&self, person: usize) -> impl Iterator<Item = &Request> {
        let chats = self.requests.iter();
        chats.filter(move |request| request.kind == Kind::Chat && request.person == person)
    }

    /// What a request is for, by its id.
    #[must_use]
    pub fn kinds(&self) -> HashMap<&str, Kind> {
        let requests = self.requests.iter();
        requests
            .map(|request| (request.id.as_str(), request.kind))
            .collect()
    }

    /// Whether a task drove the conversation of a turn out of the KV cache: it was the first to run there since the
    /// person's last question.
    #[must_use]
    pub fn is_driven_out_by_task(&self, turn: &Turn) -> bool {
        let whole_model = match turn.missed.map(|missed| missed.why) {
            Some(Miss::Intruded) => false,
            // Any other model may have needed the room.
            Some(Miss::Evicted) => true,
            _ => return false,
        };
        let request = |turn: &Turn| {
            self.requests
                .iter()
                .find(|request| request.id == turn.request)
        };
        let Some(question) = request(turn) else {
            return false;
        };
        let before = || self.turns.iter().filter(|other| other.began < turn.began);
        let own = before().filter(|other| {
            request(other)
                .is_some_and(|own| own.kind == Kind::Chat && own.person == question.person)
        });
        let last = own.map(|own| own.began).max();
        let intruder = before()
            .filter(|other| Some(other.began) > last && (whole_model || other.model == turn.model))
            .min_by_key(|other| other.began);
        intruder
            .and_then(request)
            .is_some_and(|intruder| intruder.kind != Kind::Chat)
    }

    /// What one request waited for and cost.
    #[must_use]
    pub fn figures(&self, request: &Request) -> Figures {
        let turns = || self.turns_of(request);
        let began = turns().map(|turn| turn.began).min();
        let kinds = self.kinds();
        let tasks = self.turns.iter().filter(|turn| {
            kinds
                .get(turn.request.as_str())
                .is_some_and(|kind| *kind != Kind::Chat)
        });
        let waited_until = began.unwrap_or(request.ended);
        Figures {
            wait: began.map(|began| began.saturating_sub(request.sent)),
            first_text: request
                .first_text
                .map(|first| first.saturating_sub(request.sent)),
            total: request.ended.saturating_sub(request.sent),
            prompt: turns().next().map_or(0, |turn| turn.prompt),
            computed: turns().map(Turn::computed).sum(),
            generated: turns().map(|turn| turn.completion).sum(),
            prefill: turns().map(|turn| turn.prefill).sum(),
            decode: turns().map(|turn| turn.decode).sum(),
            behind_tasks: tasks
                .map(|turn| turn.within(request.sent, waited_until))
                .sum(),
        }
    }

    /// All of it in sum.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let chats = self.requests.iter();
        let chats = chats.filter(|request| request.kind == Kind::Chat);
        let chats: Vec<Figures> = chats.map(|chat| self.figures(chat)).collect();
        Sums {
            busy: self.turns.iter().map(|turn| turn.busy).sum(),
            answering: chats.iter().map(|chat| chat.decode).sum(),
            computed: self
                .turns
                .iter()
                .map(|turn| u64::from(turn.computed()))
                .sum(),
            computed_for_chats: chats.iter().map(|chat| u64::from(chat.computed)).sum(),
            read_again: self
                .turns
                .iter()
                .map(|turn| u64::from(turn.read_again()))
                .sum(),
            read_again_for_tasks: self
                .turns
                .iter()
                .filter(|turn| self.is_driven_out_by_task(turn))
                .map(|turn| u64::from(turn.read_again()))
                .sum(),
            reused: self.turns.iter().map(|turn| u64::from(turn.cached)).sum(),
            loaded: self.turns.iter().map(|turn| u64::from(turn.loaded)).sum(),
            behind_tasks: chats.iter().map(|chat| chat.behind_tasks).sum(),
            failed: self
                .requests
                .iter()
                .filter(|request| request.failure.is_some())
                .count(),
            length: self
                .requests
                .iter()
                .map(|request| request.ended)
                .max()
                .unwrap_or_default(),
        }
    }
}

impl Outcome {
    /// Each request of ours with the naive gateway's like.
    #[must_use]
    pub fn side_by_side(&self) -> Vec<(&Request, Option<&Request>)> {
        let same =
            |a: &Request, b: &Request| (a.person, a.turn, a.kind) == (b.person, b.turn, b.kind);
        let pair = |(place, ours): (usize, &'_ Request)| {
            let earlier = self.ours.requests.iter().take(place);
            let nth = earlier.filter(|request| same(request, ours)).count();
            let mut likes = self.naive.requests.iter();
            likes
                .by_ref()
                .filter(|request| same(request, ours))
                .nth(nth)
        };
        let ours = self.ours.requests.iter().enumerate();
        ours.map(|(place, request)| (request, pair((place, request))))
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::Missed;

    /// A request that was sent and answered at these seconds.
    pub(in crate::bench) fn request(
        kind: Kind,
        turn: usize,
        sent: u64,
        first: u64,
        ended: u64,
    ) -> Request {
        Request {
            id: format!("{}-{turn}", kind.as_str()),
            person: 0,
            turn,
            kind,
            sent: Duration::from_secs(sent),
            first_text: (kind == Kind::Chat).then_some(Duration::from_secs(first)),
            ended: Duration::from_secs(ended),
            failure: None,
        }
    }

    /// A turn with one second of prefill.
    pub(in crate::bench) fn turn(
        of: &Request,
        began: u64,
        ended: u64,
        prompt: u32,
        cached: u32,
    ) -> Turn {
        Turn {
            request: of.id.clone(),
            model: "m".to_owned(),
            began: Duration::from_secs(began),
            ended: Duration::from_secs(ended),
            prompt,
            cached,
            loaded: 0,
            missed: None,
            completion: 10,
            prefill: Duration::from_secs(1),
            decode: Duration::from_secs(ended - began - 1),
            busy: Duration::from_secs(ended - began),
        }
    }

    pub(in crate::bench) fn play(requests: Vec<Request>, turns: Vec<Turn>) -> Play {
        Play {
            name: "play".to_owned(),
            requests,
            turns,
            model_lists: vec![Some(Duration::from_millis(1))],
        }
    }

    #[test]
    fn a_question_behind_a_task_waits_for_what_the_task_has_left() {
        let title = request(Kind::Title, 0, 0, 0, 6);
        let chat = request(Kind::Chat, 0, 2, 7, 10);
        let turns = vec![turn(&title, 0, 6, 50, 0), turn(&chat, 6, 10, 30, 20)];
        let play = play(vec![title, chat.clone()], turns);
        let figures = play.figures(&chat);
        let seconds = Duration::from_secs;
        assert_eq!(figures.wait, Some(seconds(4)));
        assert_eq!(figures.first_text, Some(seconds(5)));
        assert_eq!(figures.behind_tasks, seconds(4));
        assert_eq!((figures.prompt, figures.computed), (30, 10));
        let sums = play.sums();
        assert_eq!((sums.computed, sums.computed_for_chats), (60, 10));
        assert_eq!(sums.reused, 20);
        assert_eq!((sums.busy, sums.answering), (seconds(10), seconds(3)));
        assert_eq!(sums.beside_answers(), seconds(7));
    }

    #[test]
    fn what_is_read_again_counts_for_the_task_that_came_first() {
        let missed = |why, of: Turn| Turn {
            missed: Some(Missed { why, lost: 80 }),
            ..of
        };
        let first = request(Kind::Chat, 0, 0, 1, 4);
        let tags = request(Kind::Tags, 0, 5, 0, 8);
        let other = Request {
            person: 1,
            ..request(Kind::Chat, 1, 8, 9, 10)
        };
        let second = request(Kind::Chat, 2, 11, 12, 14);
        let read_again = |why, between: Vec<Turn>| {
            let mut turns = vec![turn(&first, 0, 4, 90, 0)];
            turns.extend(between);
            turns.push(missed(why, turn(&second, 11, 14, 120, 10)));
            let requests = [&first, &tags, &other, &second].map(Clone::clone).to_vec();
            let sums = play(requests, turns).sums();
            (sums.read_again, sums.read_again_for_tasks)
        };
        let task = || turn(&tags, 5, 8, 50, 0);
        let person = || turn(&other, 8, 10, 40, 0);
        let elsewhere = || Turn {
            model: "small".to_owned(),
            ..task()
        };
        assert_eq!(read_again(Miss::Intruded, vec![task(), person()]), (80, 80));
        assert_eq!(read_again(Miss::Intruded, vec![person()]), (80, 0));
        assert_eq!(
            read_again(Miss::Intruded, vec![elsewhere(), person()]),
            (80, 0)
        );
        assert_eq!(read_again(Miss::Evicted, vec![elsewhere()]), (80, 80));
        assert_eq!(read_again(Miss::Rewritten, vec![task()]), (80, 0));
    }

    #[test]
    fn a_request_that_was_stopped_costs_all_its_turns_and_waits_once() {
        let tags = request(Kind::Tags, 0, 0, 0, 9);
        let turns = vec![turn(&tags, 1, 3, 50, 0), turn(&tags, 6, 9, 55, 0)];
        let play = play(vec![tags.clone()], turns);
        let figures = play.figures(&tags);
        assert_eq!(figures.wait, Some(Duration::from_secs(1)));
        assert_eq!(
            (figures.prompt, figures.computed, figures.generated),
            (50, 105, 20)
        );
    }
}
