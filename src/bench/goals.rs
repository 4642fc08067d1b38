//! What is to come out of a play, each figure beside its reference of the same run.

use std::time::Duration;

use super::{Goal, Kind, Outcome, Play, Request, Script, median, table::seconds};

/// What an answer may take beyond reading its own new tokens.
const OVERHEAD: Duration = Duration::from_millis(150);
/// What stopping a run may take beyond the token that is being made.
const STOP: Duration = Duration::from_millis(50);
/// The naive gateway's NPU time beside the answers is divided by this.
const NPU_SHARE: u32 = 8;
/// The naive gateway's prompt tokens are divided by this.
const PREFILL_SHARE: u64 = 6;
/// Longest time for the list of models, at the 99th percentile.
const MODEL_LIST: Duration = Duration::from_millis(20);

/// One figure and its reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was measured.
    pub what: String,
    /// The figure.
    pub measured: String,
    /// What it is to be at most.
    pub reference: String,
    /// Whether it is.
    pub held: bool,
}

impl Verdict {
    fn times(what: String, measured: Duration, limit: Duration, because: &str) -> Self {
        Self {
            what,
            measured: seconds(measured),
            reference: format!("{} ({because})", seconds(limit)),
            held: measured <= limit,
        }
    }
}

/// All that the script asks for.
#[must_use]
pub fn judge(script: &Script, outcome: &Outcome) -> Vec<Verdict> {
    let verdicts = script.goals.iter().map(|goal| match goal {
        Goal::FirstToken => first_tokens(script, &outcome.ours),
        Goal::NpuTime => npu_time(outcome),
        Goal::EarlyTitle => early_titles(script, &outcome.ours),
        Goal::TaskDelay => task_delay(&outcome.ours),
        Goal::Prefill => prefill(outcome),
        Goal::Sharing => sharing(script, outcome),
        Goal::ModelList => model_list(&outcome.ours),
    });
    verdicts.flatten().collect()
}

/// Each question against the prefill of what is new in its prompt: all of it but what the prompt of the question before
/// held. The last answer counts as new, since its thinking was dropped and stood in front of it.
fn first_tokens(script: &Script, play: &Play) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (person, part) in script.people.iter().enumerate() {
        let mut before = 0;
        for (turn, chat) in play.chats(person).enumerate() {
            let figures = play.figures(chat);
            // A conversation that was cut is new from the cut on.
            let new = figures.prompt.checked_sub(before).filter(|new| *new > 0);
            let new = new.unwrap_or(figures.computed);
            before = figures.prompt;
            let share = f64::from(new) / f64::from(figures.computed.max(1));
            let prefill = figures.prefill.mul_f64(share.min(1.0));
            let what = format!("first token of turn {} of {}", turn + 1, part.name);
            verdicts.push(match figures.first_text {
                Some(first) => Verdict::times(
                    what,
                    first,
                    prefill + OVERHEAD,
                    &format!("prefill of {new} new tokens + {}", seconds(OVERHEAD)),
                ),
                None => failed(what, chat),
            });
        }
    }
    verdicts
}

fn failed(what: String, request: &Request) -> Verdict {
    Verdict {
        what,
        measured: request
            .failure
            .clone()
            .unwrap_or_else(|| "no text".to_owned()),
        reference: "an answer".to_owned(),
        held: false,
    }
}

fn npu_time(outcome: &Outcome) -> Vec<Verdict> {
    let naive = outcome.naive.sums().beside_answers();
    vec![Verdict::times(
        "NPU time beside the answers".to_owned(),
        outcome.ours.sums().beside_answers(),
        naive / NPU_SHARE,
        &format!("1/{NPU_SHARE} of naive's {}", seconds(naive)),
    )]
}

fn early_titles(script: &Script, play: &Play) -> Vec<Verdict> {
    let titles = play.requests.iter();
    let titles = titles.filter(|request| request.kind == Kind::Title);
    let early = titles.filter_map(|title| {
        let answer = play.chats(title.person).next()?;
        let name = script
            .people
            .get(title.person)
            .map_or("", |person| &person.name);
        let what = format!("title of {}", name);
        Some(match &title.failure {
            Some(_) => failed(what, title),
            None => Verdict::times(what, title.ended, answer.ended, "end of the first answer"),
        })
    });
    early.collect()
}

fn task_delay(play: &Play) -> Vec<Verdict> {
    let chats = play.requests.iter();
    let chats = chats.filter(|request| request.kind == Kind::Chat);
    let longest = chats.map(|chat| play.figures(chat).behind_tasks).max();
    let kinds = play.kinds();
    let tasks = play.turns.iter().filter(|turn| {
        let kind = kinds.get(turn.request.as_str());
        kind.is_some_and(|kind| *kind != Kind::Chat) && turn.completion > 1
    });
    let token = tasks.map(|turn| turn.decode / (turn.completion - 1)).max();
    let token = token.unwrap_or_default();
    vec![Verdict::times(
        "longest wait of a question behind a task".to_owned(),
        longest.unwrap_or_default(),
        token + STOP,
        &format!(
            "one token of {} + {} to stop",
            seconds(token),
            seconds(STOP)
        ),
    )]
}

fn prefill(outcome: &Outcome) -> Vec<Verdict> {
    let (ours, naive) = (outcome.ours.sums(), outcome.naive.sums());
    let verdict = |what: &str, ours: u64, naive: u64| {
        let limit = naive / PREFILL_SHARE;
        Verdict {
            what: format!("prompt tokens read {what}"),
            measured: ours.to_string(),
            reference: format!("{limit} (1/{PREFILL_SHARE} of naive's {naive})"),
            held: ours <= limit,
        }
    };
    vec![
        verdict("in all", ours.computed, naive.computed),
        verdict(
            "for the questions",
            ours.computed_for_chats,
            naive.computed_for_chats,
        ),
    ]
}

/// Each person's median against the same questions alone, and one answer of somebody else.
fn sharing(script: &Script, outcome: &Outcome) -> Vec<Verdict> {
    let firsts = |play: &Play, person| {
        let chats = play.chats(person);
        let firsts = chats.filter_map(|chat| play.figures(chat).first_text);
        median(firsts.collect::<Vec<_>>())
    };
    let people = script.people.iter().zip(&outcome.alone).enumerate();
    let medians = people.map(|(person, (part, alone))| {
        let alone = firsts(alone, person);
        let others = outcome.ours.requests.iter();
        let others = others.filter(|other| other.kind == Kind::Chat && other.person != person);
        let answer = median(others.map(|other| {
            let figures = outcome.ours.figures(other);
            figures.prefill + figures.decode
        }));
        Verdict::times(
            format!("median first token of {}", part.name),
            firsts(&outcome.ours, person),
            alone + answer,
            &format!(
                "alone {} + an answer of the others {}",
                seconds(alone),
                seconds(answer)
            ),
        )
    });
    let unanswered = outcome.ours.requests.iter();
    let unanswered = unanswered
        .filter(|request| request.failure.is_some())
        .count();
    let starved = Verdict {
        what: "requests without an answer".to_owned(),
        measured: unanswered.to_string(),
        reference: "0".to_owned(),
        held: unanswered == 0,
    };
    medians.chain([starved]).collect()
}

fn model_list(play: &Play) -> Vec<Verdict> {
    let mut times: Vec<Duration> = play.model_lists.iter().copied().flatten().collect();
    let failed = play.model_lists.len() - times.len();
    times.sort_unstable();
    let place = (times.len() * 99).div_ceil(100).saturating_sub(1);
    let slow = times.get(place).copied().unwrap_or_default();
    vec![Verdict {
        what: format!("p99 of {} lists of models", play.model_lists.len()),
        measured: match failed {
            0 => format!("{:.1} ms", slow.as_secs_f64() * 1e3),
            failed => format!("{:.1} ms, {failed} failed", slow.as_secs_f64() * 1e3),
        },
        reference: format!("{} ms", MODEL_LIST.as_millis()),
        held: slow <= MODEL_LIST && failed == 0 && !times.is_empty(),
    }]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{
        super::account::tests::{play, request, turn},
        *,
    };

    /// Two questions and a title: fast here, slow there.
    fn outcome() -> Outcome {
        let title = request(Kind::Title, 0, 0, 0, 9);
        let first = request(Kind::Chat, 0, 1, 2, 10);
        let second = request(Kind::Chat, 1, 12, 14, 20);
        let ours = vec![
            turn(&first, 1, 5, 100, 0),
            turn(&title, 5, 7, 50, 0),
            turn(&second, 12, 20, 130, 100),
        ];
        let naive = vec![
            turn(&title, 0, 30, 500, 0),
            turn(&first, 30, 40, 100, 0),
            turn(&second, 42, 50, 130, 0),
        ];
        let requests = vec![title, first, second];
        Outcome {
            model: "m".to_owned(),
            speed: 1.0,
            ours: play(requests.clone(), ours),
            naive: play(requests, naive),
            alone: Vec::new(),
        }
    }

    fn held(goal: Goal) -> Vec<bool> {
        let script = Script {
            title: String::new(),
            model: "m".to_owned(),
            embedding_model: None,
            system: None,
            forward_headers: false,
            goals: vec![goal],
            sources: std::collections::BTreeMap::new(),
            people: vec![super::super::Person {
                name: "Ann".to_owned(),
                after: 0.0,
                turns: Vec::new(),
            }],
        };
        let verdicts = judge(&script, &outcome());
        verdicts.iter().map(|verdict| verdict.held).collect()
    }

    #[test]
    fn each_figure_is_held_against_its_own_reference() {
        // The first answer begins a second after its question, which is its prefill; the second a second late.
        assert_eq!(held(Goal::FirstToken), [true, false]);
        assert_eq!(held(Goal::EarlyTitle), [true]);
        assert_eq!(held(Goal::TaskDelay), [true]);
        // 4 s of 32 s: two prefills and the title. 180 tokens of 730, of which the questions have 130 of 230.
        assert_eq!(held(Goal::NpuTime), [true]);
        assert_eq!(held(Goal::Prefill), [false, false]);
        assert_eq!(held(Goal::ModelList), [true]);
    }

    #[test]
    fn a_list_of_models_that_failed_is_none_that_was_fast() {
        let mut play = outcome().ours;
        play.model_lists.push(None);
        let [verdict] = model_list(&play).try_into().unwrap();
        assert_eq!(
            (verdict.held, &*verdict.measured),
            (false, "1.0 ms, 1 failed")
        );
    }
}
