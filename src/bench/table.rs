//! What the text and the page tell alike: rows, columns and units.

use std::time::Duration;

use super::{
    Request, Script,
    account::{Figures, Sums},
};

/// A figure of a play for people.
type SumOf = fn(&Sums) -> String;

/// What is told of a play in sum.
pub const SUMS: [(&str, SumOf); 12] = [
    ("NPU busy", |sums| seconds(sums.busy)),
    ("of this, decoding the answers", |sums| {
        seconds(sums.answering)
    }),
    ("beside that", |sums| seconds(sums.beside_answers())),
    ("prompt tokens read", |sums| sums.computed.to_string()),
    ("of these, for the questions", |sums| {
        sums.computed_for_chats.to_string()
    }),
    ("prompt tokens read again", |sums| {
        sums.read_again.to_string()
    }),
    ("of these, because of tasks", |sums| {
        sums.read_again_for_tasks.to_string()
    }),
    ("prompt tokens reused", |sums| sums.reused.to_string()),
    ("of these, from prompt cache files", |sums| {
        sums.loaded.to_string()
    }),
    ("questions waited for tasks", |sums| {
        seconds(sums.behind_tasks)
    }),
    ("requests without an answer", |sums| sums.failed.to_string()),
    ("whole conversation", |sums| seconds(sums.length)),
];

/// In words, how truly times are scaled.
#[must_use]
pub fn at_speed(speed: f64) -> String {
    if (speed - 1.0).abs() < f64::EPSILON {
        "in real time".to_owned()
    } else {
        format!(
            "{speed} times as fast as a board, times scaled to the board's; what the gateway itself takes and its own \
             time limits are not scaled, so that these figures are an estimate"
        )
    }
}

/// A request's name in tables.
#[must_use]
pub fn named(script: &Script, request: &Request) -> String {
    let person = script.people.get(request.person);
    let person = person.map_or("", |person| &person.name);
    format!("{person} {} {}", request.turn + 1, request.kind.as_str())
}

/// A request's figures in tables: waiting, first text, total, tokens read, tokens of the prompt.
#[must_use]
pub fn cells(figures: &Figures) -> [String; 5] {
    [
        or_dash(figures.wait),
        or_dash(figures.first_text),
        seconds(figures.total),
        figures.computed.to_string(),
        figures.prompt.to_string(),
    ]
}

/// A time that may not be there.
#[must_use]
pub fn or_dash(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), seconds)
}

/// A time for people.
#[must_use]
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
