//! The row of a record: its numbers, in the order of the table's columns, which is the same in every database.

use std::{borrow::Cow, time::Duration};

use sha2::{Digest, Sha256};

use crate::{
    chat::Usage,
    promptlog::{Kept, Record, Timings},
};

/// The text of a value that is not there.
pub(in crate::promptlog) const NOTHING: &str = "";

/// The columns that [`Numbers::of`] takes.
pub(in crate::promptlog) const COLUMNS: &str = "id, time, class, model, labels, profile, policy, status, finish, kept, \
    prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, queued, first_token, total, decode";

/// Columns of a whole row.
pub(super) const WIDTH: usize = 20;

/// The values of a record that many share: class, model, labels, profile and end.
pub(super) fn words(record: &Record) -> [Option<Cow<'_, str>>; 5] {
    let labels: Vec<&str> = record.labels.iter().map(AsRef::as_ref).collect();
    let model = if record.model.is_empty() {
        NOTHING
    } else {
        &record.model
    };
    [
        Some(Cow::Borrowed(&*record.class)),
        Some(Cow::Borrowed(model)),
        Some(Cow::Owned(labels.join(","))),
        record.profile.as_deref().map(Cow::Borrowed),
        record.finish.as_deref().map(Cow::Borrowed),
    ]
}

/// A whole row, with the numbers of the record's [`words`].
pub(super) fn columns(id: i64, record: &Record, words: [Option<i64>; 5]) -> [Option<i64>; WIDTH] {
    let [class, model, labels, profile, finish] = words;
    let kept = Kept::ALL.iter().position(|kept| *kept == record.kept);
    let tokens = |of: fn(&Usage) -> u32| record.usage.as_ref().map(of).map(i64::from);
    let timings = &record.timings;
    [
        Some(id),
        Some(record.time),
        Some(hash(&record.request)),
        record.conversation.as_deref().map(hash),
        class,
        model,
        labels,
        profile,
        Some(i64::try_from(record.policy).unwrap_or(i64::MAX)),
        Some(record.status.into()),
        finish,
        kept.and_then(|kept| i64::try_from(kept).ok()),
        tokens(|usage| usage.prompt),
        tokens(|usage| usage.cached),
        tokens(|usage| usage.completion),
        tokens(|usage| usage.reasoning),
        timings.queued.map(micros),
        timings.first_token.map(micros),
        Some(micros(timings.total)),
        timings.decode.map(micros),
    ]
}

/// What a row says; values that many records share by their number.
#[derive(Debug, Clone, Copy)]
pub(in crate::promptlog) struct Numbers {
    pub(in crate::promptlog) id: i64,
    pub(in crate::promptlog) time: i64,
    pub(in crate::promptlog) class: i64,
    pub(in crate::promptlog) model: i64,
    pub(in crate::promptlog) labels: i64,
    pub(in crate::promptlog) profile: Option<i64>,
    pub(in crate::promptlog) policy: u64,
    pub(in crate::promptlog) status: u16,
    pub(in crate::promptlog) finish: Option<i64>,
    pub(in crate::promptlog) kept: Kept,
    pub(in crate::promptlog) usage: Option<Usage>,
    pub(in crate::promptlog) timings: Timings,
}

impl Numbers {
    /// Reads [`COLUMNS`]; what cannot be is as if it were not there.
    pub(in crate::promptlog) fn of(row: &[Option<i64>]) -> Self {
        let column = |place: usize| row.get(place).copied().flatten();
        let number = |place: usize| column(place).unwrap_or_default();
        let tokens = |place: usize| u32::try_from(number(place)).unwrap_or_default();
        let time = |place: usize| {
            let micros = column(place).map(|micros| u64::try_from(micros).unwrap_or_default());
            micros.map(Duration::from_micros)
        };
        let kept = usize::try_from(number(9)).ok();
        Self {
            id: number(0),
            time: number(1),
            class: number(2),
            model: number(3),
            labels: number(4),
            profile: column(5),
            policy: u64::try_from(number(6)).unwrap_or_default(),
            status: u16::try_from(number(7)).unwrap_or_default(),
            finish: column(8),
            kept: kept
                .and_then(|kept| Kept::ALL.get(kept).copied())
                .unwrap_or_default(),
            usage: column(10).map(|_| Usage {
                prompt: tokens(10),
                cached: tokens(11),
                completion: tokens(12),
                reasoning: tokens(13),
            }),
            timings: Timings {
                queued: time(14),
                first_token: time(15),
                total: time(16).unwrap_or_default(),
                decode: time(17),
            },
        }
    }
}

/// A name as a number: names are long and mostly random.
pub(in crate::promptlog) fn hash(name: &str) -> i64 {
    let mut first = [0; 8];
    for (byte, from) in first.iter_mut().zip(Sha256::digest(name.as_bytes())) {
        *byte = from;
    }
    i64::from_le_bytes(first)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
