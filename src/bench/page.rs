//! The report as one HTML page, with who had the NPU when as a picture.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use super::{
    Kind, Outcome, Play, Request, Script,
    account::{Figures, Sums},
    goals::{Verdict, seconds},
};

/// Heights in the picture, in pixels.
const LANE: u32 = 20;
const GAP: u32 = 4;
const AXIS: u32 = 18;
/// Left of the time line: names of the lanes.
const NAMES: f64 = 110.0;
/// Longest time line in pixels; shorter plays have ten pixels for a second.
const LONGEST: f64 = 6000.0;

/// Writes the page.
#[must_use]
pub fn html(script: &Script, outcome: &Outcome, verdicts: &[Verdict]) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write(script, outcome, verdicts, &mut page);
    page
}

fn write(
    script: &Script,
    outcome: &Outcome,
    verdicts: &[Verdict],
    page: &mut String,
) -> fmt::Result {
    let title = escaped(&script.title);
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n<style>{}</style>\n\
         <h1>{title}</h1>\n<p>{} on a simulated board, {}.</p>\n",
        include_str!("page.css"),
        escaped(&outcome.model),
        at_speed(outcome.speed),
    )?;
    page.push_str("<h2>Who had the NPU when</h2>\n<p class=\"key\">");
    for kind in KINDS {
        write!(page, "<span class=\"{0}\">{0}</span> ", kind.as_str())?;
    }
    page.push_str("<span class=\"wait\">waiting</span> The dark part of a turn is the reading of its prompt.</p>\n");
    let plays = || {
        [&outcome.ours, &outcome.naive]
            .into_iter()
            .chain(&outcome.alone)
    };
    let length = plays()
        .map(|play| play.sums().length)
        .max()
        .unwrap_or_default();
    let scale = Scale::of(length);
    for play in plays() {
        write!(
            page,
            "<h3>{}</h3>\n<div class=\"picture\">",
            escaped(&play.name)
        )?;
        picture(script, play, &scale, page)?;
        page.push_str("</div>\n");
    }
    page.push_str("<h2>In sum</h2>\n<table><tr><th>");
    for play in plays() {
        write!(page, "<th>{}", escaped(&play.name))?;
    }
    for (name, figure) in SUMS {
        write!(page, "\n<tr><td>{name}")?;
        for play in plays() {
            write!(page, "<td>{}", figure(&play.sums()))?;
        }
    }
    page.push_str("</table>\n<h2>Goals</h2>\n<table><tr><th>Figure<th>Measured<th>At most<th>");
    for verdict in verdicts {
        write!(
            page,
            "\n<tr><td>{}<td>{}<td>{}<td>{}",
            escaped(&verdict.what),
            escaped(&verdict.measured),
            escaped(&verdict.reference),
            if verdict.held {
                "held"
            } else {
                "<b>missed</b>"
            },
        )?;
    }
    page.push_str("</table>\n<h2>Requests</h2>\n");
    requests(script, outcome, page)?;
    page.push_str("</html>\n");
    Ok(())
}

/// The order of colours in the key.
const KINDS: [Kind; 6] = [
    Kind::Chat,
    Kind::Title,
    Kind::FollowUp,
    Kind::Tags,
    Kind::Query,
    Kind::Embedding,
];

/// A figure of a play for people.
type SumOf = fn(&Sums) -> String;

/// What is told of a play in sum.
pub const SUMS: [(&str, SumOf); 8] = [
    ("NPU busy", |sums| seconds(sums.busy)),
    ("of this, decoding the answers", |sums| {
        seconds(sums.answering)
    }),
    ("beside that", |sums| seconds(sums.beside_answers())),
    ("prompt tokens read", |sums| sums.computed.to_string()),
    ("prompt tokens reused", |sums| sums.reused.to_string()),
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

/// From board time to pixels.
struct Scale {
    length: Duration,
    per_second: f64,
}

impl Scale {
    fn of(length: Duration) -> Self {
        let per_second = (LONGEST / length.as_secs_f64().max(1.0)).min(10.0);
        Self { length, per_second }
    }

    fn x(&self, time: Duration) -> f64 {
        NAMES + time.as_secs_f64() * self.per_second
    }

    /// Seconds between two marks of the axis.
    fn step(&self) -> u32 {
        let steps = [5, 10, 30, 60, 120, 300, 600];
        let wide = |step: &u32| f64::from(*step) * self.per_second >= 50.0;
        steps.into_iter().find(wide).unwrap_or(1200)
    }
}

/// The NPU's lane, and below it lanes of each person's requests, as many as are under way at once.
fn picture(script: &Script, play: &Play, scale: &Scale, page: &mut String) -> fmt::Result {
    let mut lanes: Vec<(String, Vec<&Request>)> = Vec::new();
    for (person, part) in script.people.iter().enumerate() {
        let own = play
            .requests
            .iter()
            .filter(|request| request.person == person);
        let begin = lanes.len();
        for request in own {
            let mut rows = lanes.iter_mut().skip(begin);
            let free =
                rows.find(|(_, row)| row.last().is_none_or(|last| last.ended <= request.sent));
            match free {
                Some((_, row)) => row.push(request),
                None => {
                    let first = lanes.len() == begin;
                    let name = if first {
                        part.name.clone()
                    } else {
                        String::new()
                    };
                    lanes.push((name, vec![request]));
                }
            }
        }
    }
    let rows = u32::try_from(lanes.len()).unwrap_or(u32::MAX) + 1;
    let (width, height) = (scale.x(scale.length) + 20.0, AXIS + rows * (LANE + GAP));
    write!(
        page,
        "<svg width=\"{width:.0}\" height=\"{height}\" role=\"img\">"
    )?;
    axis(scale, height, page)?;
    let y = AXIS;
    write!(page, "<text x=\"0\" y=\"{}\">NPU</text>", y + LANE - 5)?;
    let kinds = play.kinds();
    for turn in &play.turns {
        let Some(kind) = kinds.get(turn.request.as_str()) else {
            continue;
        };
        let tip = format!(
            "{} by {}: {} of {} prompt tokens read, {} generated",
            kind.as_str(),
            turn.model,
            turn.computed(),
            turn.prompt,
            turn.completion
        );
        bar(
            scale,
            y,
            (turn.began, turn.ended),
            kind.as_str(),
            &tip,
            page,
        )?;
        let read = (turn.began + turn.prefill).min(turn.ended);
        bar(scale, y, (turn.began, read), "read", &tip, page)?;
    }
    for (row, (name, requests)) in (1..).zip(&lanes) {
        let y = AXIS + row * (LANE + GAP);
        write!(
            page,
            "<text x=\"0\" y=\"{}\">{}</text>",
            y + LANE - 5,
            escaped(name)
        )?;
        for request in requests {
            let figures = play.figures(request);
            let tip = format!(
                "{} of turn {}: sent at {}, waited {}, first text after {}, complete after {}",
                request.kind.as_str(),
                request.turn + 1,
                seconds(request.sent),
                or_dash(figures.wait),
                or_dash(figures.first_text),
                seconds(figures.total)
            );
            bar(scale, y, (request.sent, request.ended), "wait", &tip, page)?;
            for turn in play.turns_of(request) {
                let span = (turn.began, turn.ended.min(request.ended));
                bar(scale, y, span, request.kind.as_str(), &tip, page)?;
            }
        }
    }
    page.push_str("</svg>");
    Ok(())
}

fn axis(scale: &Scale, height: u32, page: &mut String) -> fmt::Result {
    let mut mark = Duration::ZERO;
    while mark <= scale.length {
        let x = scale.x(mark);
        write!(
            page,
            "<path d=\"M{x:.1} {AXIS}V{height}\"/><text class=\"mark\" x=\"{x:.1}\" y=\"12\">{} s</text>",
            mark.as_secs()
        )?;
        mark += Duration::from_secs(scale.step().into());
    }
    Ok(())
}

fn bar(
    scale: &Scale,
    y: u32,
    (from, to): (Duration, Duration),
    class: &str,
    tip: &str,
    page: &mut String,
) -> fmt::Result {
    let (x, width) = (scale.x(from), scale.x(to) - scale.x(from));
    write!(
        page,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{LANE}\"><title>{}</title></rect>",
        width.max(0.5),
        escaped(tip)
    )
}

fn requests(script: &Script, outcome: &Outcome, page: &mut String) -> fmt::Result {
    let names = [&outcome.ours.name, &outcome.naive.name].map(|name| escaped(name));
    let [ours, naive] = &names;
    write!(
        page,
        "<table><tr><th rowspan=\"2\">Request<th colspan=\"5\">{ours}<th colspan=\"5\">{naive}\n<tr>"
    )?;
    for _ in names {
        page.push_str("<th>waits<th>first text<th>total<th>tokens read<th>of");
    }
    for (request, like) in outcome.side_by_side() {
        write!(page, "\n<tr><td>{}", escaped(&named(script, request)))?;
        let naive = like
            .map(|like| outcome.naive.figures(like))
            .unwrap_or_default();
        for figures in [outcome.ours.figures(request), naive] {
            for cell in cells(&figures) {
                write!(page, "<td>{cell}")?;
            }
        }
    }
    page.push_str("</table>\n");
    Ok(())
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

fn or_dash(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), seconds)
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{
        super::{
            SHIPPED,
            account::tests::{play, request, turn},
        },
        *,
    };

    #[test]
    fn the_page_shows_each_turn_where_it_was_and_needs_nothing_else() {
        let script = Script::parse(SHIPPED.first().unwrap().1).unwrap();
        let chat = request(Kind::Chat, 0, 1, 2, 10);
        let ours = play(vec![chat.clone()], vec![turn(&chat, 1, 5, 100, 0)]);
        let outcome = Outcome {
            model: "a<b".to_owned(),
            speed: 1.0,
            naive: ours.clone(),
            ours,
            alone: Vec::new(),
        };
        let page = html(&script, &outcome, &[]);
        // Ten pixels a second, from second 1 to second 5.
        assert!(page.contains("class=\"chat\" x=\"120.0\" y=\"18\" width=\"40.0\""));
        assert!(page.contains("class=\"read\" x=\"120.0\" y=\"18\" width=\"10.0\""));
        assert!(page.contains("a&lt;b on a simulated board, in real time"));
        assert!(!page.contains("http"));
    }
}
