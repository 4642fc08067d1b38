//! Who had the NPU when: one picture a gateway, as SVG.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use super::escaped;
use crate::bench::{
    Play, Request, Script,
    table::{or_dash, seconds},
};

/// Heights in the picture, in pixels.
const LANE: u32 = 20;
const GAP: u32 = 4;
const AXIS: u32 = 18;
/// Left of the time line: names of the lanes.
const NAMES: f64 = 110.0;
/// Longest time line in pixels; shorter plays have ten pixels for a second.
const LONGEST: f64 = 6000.0;

/// From board time to pixels.
pub(super) struct Scale {
    length: Duration,
    per_second: f64,
}

impl Scale {
    pub(super) fn of(length: Duration) -> Self {
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
pub(super) fn draw(script: &Script, play: &Play, scale: &Scale, page: &mut String) -> fmt::Result {
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
        let mut tip = format!(
            "{} by {}: {} of {} prompt tokens read, {} generated",
            kind.as_str(),
            turn.model,
            turn.computed(),
            turn.prompt,
            turn.completion
        );
        if let Some(missed) = turn.missed.filter(|missed| missed.lost > 0) {
            let task = match play.is_driven_out_by_task(turn) {
                true => ", because of a task",
                false => "",
            };
            write!(
                tip,
                "; {} of them again{task}: {}",
                missed.lost,
                missed.why.why()
            )?;
        }
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
        if turn.read_again() > 0 {
            let share = f64::from(turn.read_again()) / f64::from(turn.computed().max(1));
            let again = turn.began + (read - turn.began).mul_f64(share.min(1.0));
            bar(scale, y, (turn.began, again), "again", &tip, page)?;
        }
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
