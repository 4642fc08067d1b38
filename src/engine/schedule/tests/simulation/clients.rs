//! Who asks, what people and bad luck do with the models.

use super::*;

/// Whether this client's job is an input of a request for embeddings.
pub(super) fn is_input(client: &Client) -> bool {
    client.urgency == QueueClass::PERSON_WAITS && client.deadline_ms.is_none()
}

/// Whether the next question makes this client's job pointless.
pub(super) fn until_question(client: &Client, job: JobId) -> bool {
    client.fallback && job.is_multiple_of(3)
}

/// A client that asks once.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Since the one before.
    pub(super) gap_ms: u64,
    pub(super) model: usize,
    pub(super) urgency: u8,
    pub(super) deadline_ms: Option<u64>,
    pub(super) fallback: bool,
    pub(super) newest_wins: bool,
    pub(super) user: Option<u8>,
    pub(super) conversation: Option<u8>,
    pub(super) reusable: u32,
    pub(super) prefill_ms: u64,
    pub(super) tokens: u32,
    /// The client leaves after this time.
    pub(super) leaves_ms: Option<u64>,
    pub(super) fate: Fate,
}

/// What happens to a client's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Completes,
    Fails,
    /// The worker dies in the middle.
    WorkerDies,
}

pub(super) fn client() -> impl Strategy<Value = Client> {
    let who = (
        0_u8..8,
        prop::option::weighted(0.5, 200_u64..120_000),
        any::<bool>(),
        prop::option::of(0_u8..3),
        prop::option::of(0_u8..4),
    );
    let what = (
        0..MODELS,
        0_u32..4000,
        1_u64..4000,
        1_u32..200,
        prop::option::weighted(0.2, 0_u64..20_000),
        prop_oneof![8 => Just(Fate::Completes), 1 => Just(Fate::Fails), 1 => Just(Fate::WorkerDies)],
    );
    let gap = prop_oneof![3 => Just(0_u64), 3 => 0_u64..2000, 1 => 0_u64..60_000];
    (gap, who, what).prop_map(|(gap_ms, who, what)| {
        let (urgency, deadline_ms, fallback, user, conversation) = who;
        let (model, reusable, prefill_ms, tokens, leaves_ms, fate) = what;
        Client {
            gap_ms,
            model,
            urgency,
            deadline_ms,
            fallback: fallback && urgency > 0,
            newest_wins: urgency == 2,
            user,
            conversation,
            reusable,
            prefill_ms,
            tokens,
            leaves_ms,
            fate,
        }
    })
}

/// What a person or bad luck does with a model, and how long after the last time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hand {
    pub(super) gap_ms: u64,
    pub(super) model: usize,
    pub(super) does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Does {
    Load,
    Unload,
    Pin(bool),
    /// Its worker dies, whatever it does.
    LosesWorker,
    /// Its next load fails.
    FailsToLoad,
}

pub(super) fn hand() -> impl Strategy<Value = Hand> {
    let does = prop_oneof![
        3 => Just(Does::Load),
        3 => Just(Does::Unload),
        1 => any::<bool>().prop_map(Does::Pin),
        2 => Just(Does::LosesWorker),
        1 => Just(Does::FailsToLoad),
    ];
    (0_u64..8000, 0..MODELS, does).prop_map(|(gap_ms, model, does)| Hand {
        gap_ms,
        model,
        does,
    })
}
