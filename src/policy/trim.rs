//! The history window: by high and low water, so that a conversation is cut rarely and only grows in between.
//!
//! Nothing happens below the high mark. Above it, whole turns go from the beginning until the rest is below the low
//! mark. Where the cuts lie follows from the messages alone: the conversation is gone through from its first message
//! on, and cut wherever it would have been when it was that long. So each turn finds the cuts of the one before.

mod measure;
mod units;

pub use self::measure::Estimate;
use self::{
    measure::{Size, Water},
    units::Unit,
};
use super::{Rewriter, context::Context, prose};
use crate::chat::Role;

/// What stands where a message was cut.
const MARK: &str = "\n[...]\n";
/// The fewest tokens that a message is cut to.
const SHORTEST: u32 = 64;

/// Takes old turns out of a conversation that is too long for the model or its policy.
pub(super) fn apply(request: &mut Rewriter<'_>, context: &Context<'_>) {
    let Some(water) = Water::new(request, context) else {
        return;
    };
    let sizes: Vec<Size> = request
        .messages()
        .map(|message| Size::of(message, context))
        .collect();
    if total(&sizes).fits(water.high) {
        return;
    }
    let sizes = cut_long(request, context, &water, sizes);
    let units = units::split(request.messages());
    let keep_turns = context.settings.history.keep_turns.unwrap_or(1).max(1);
    let gone = cuts(&units, &sizes, &water, keep_turns);
    // From the end, so that places in front stay what they are.
    let mut end = units.len();
    while let Some(last) = gone
        .get(..end)
        .and_then(|gone| gone.iter().rposition(|gone| *gone))
    {
        let run = gone.get(..last).map_or(0, |gone| {
            gone.iter()
                .rposition(|gone| !gone)
                .map_or(0, |kept| kept + 1)
        });
        // System messages may stand between two units.
        for unit in units.get(run..=last).unwrap_or_default().iter().rev() {
            request.remove_range(unit.messages.clone(), "out of the window");
        }
        end = run;
    }
}

fn total(sizes: &[Size]) -> Size {
    sizes.iter().fold(Size::default(), |sum, size| sum + *size)
}

/// Makes single messages shorter that are too long for the model's window. The last user message and system messages are
/// not touched.
///
/// How long a message may be follows from its own turn alone, so that it comes out the same in each turn to come: half of
/// the window for a question, half of what its question leaves for an answer and for the results of its calls together.
fn cut_long(
    request: &mut Rewriter<'_>,
    context: &Context<'_>,
    water: &Water,
    mut sizes: Vec<Size>,
) -> Vec<Size> {
    let Some(window) = water.high.tokens else {
        return sizes;
    };
    let question = request.last(Role::User);
    let units = units::split(request.messages());
    let mut asked = 0;
    for unit in units {
        let results = unit.messages.len().saturating_sub(1).max(1);
        for index in unit.messages.clone() {
            let Some(role) = request.message(index).map(|message| message.role) else {
                continue;
            };
            let Some(size) = sizes.get_mut(index) else {
                continue;
            };
            if role == Role::User {
                let before = if unit.starts_turn { 0 } else { asked };
                asked = (before + size.tokens).min(window / 2);
            }
            let limit = match role {
                Role::User => window / 2,
                Role::Tool => (window - asked) / 2 / u32::try_from(results).unwrap_or(u32::MAX),
                Role::Assistant | Role::System => (window - asked) / 2,
            };
            // The answer that the model is asked to continue ends where it ends.
            let continued = index + 1 == request.len() && role == Role::Assistant;
            if Some(index) != question && !continued {
                *size = cut_to(request, context, index, *size, limit.max(SHORTEST));
            }
        }
    }
    sizes
}

/// Cuts the middle out of a message until it is short enough.
fn cut_to(
    request: &mut Rewriter<'_>,
    context: &Context<'_>,
    index: usize,
    mut size: Size,
    limit: u32,
) -> Size {
    let chars = request.text(index).chars().count();
    let mut max = chars;
    // Characters are not equally many tokens everywhere.
    while size.tokens > limit && max > SHORTEST as usize {
        max = ((max as u64 * u64::from(limit) / u64::from(size.tokens)) as usize).min(max * 9 / 10);
        request.edit(
            index,
            "cut in the middle: too long for the window",
            |text| prose::cut_middle(text, max, MARK),
        );
        let Some(message) = request.message(index) else {
            break;
        };
        let cut = Size::of(message, context);
        if cut.tokens >= size.tokens {
            break;
        }
        size = cut;
    }
    size
}

/// Which units go.
fn cuts(units: &[Unit], sizes: &[Size], water: &Water, keep_turns: usize) -> Vec<bool> {
    let size = |unit: &Unit| {
        sizes
            .get(unit.messages.clone())
            .map(total)
            .unwrap_or_default()
    };
    let mut gone = vec![false; units.len()];
    let mut first = 0;
    let mut kept = Size::default();
    let mut high = water.high;
    for (index, unit) in units.iter().enumerate() {
        kept = kept + size(unit);
        // A request ends with a question or the results of tools; answers count when the next one comes.
        if !unit.ends_request && index + 1 < units.len() {
            continue;
        }
        let turns = |first: usize| {
            let left = units.get(first..=index).unwrap_or_default();
            left.iter().filter(|unit| unit.starts_turn).count()
        };
        let exempt =
            |first: usize, kept: Size| turns(first) <= keep_turns && kept.fits_tokens(water.high);
        if !exempt(first, kept) && !kept.fits(high) {
            // Whole turns, as long as more are left than have to stay.
            while !kept.fits(water.low) && turns(first) > 1 && !exempt(first, kept) {
                let behind = units.iter().enumerate().skip(first + 1);
                let next = behind
                    .take_while(|(at, _)| *at <= index)
                    .find(|(_, unit)| unit.starts_turn);
                let Some((next, _)) = next else {
                    break;
                };
                drop_units(first..next, units, &mut gone, &mut kept, &size);
                first = next;
            }
            // One turn that is too long by itself: its first answers and their results, but never the question.
            let question = (first..=index)
                .rfind(|at| units.get(*at).is_some_and(|unit| unit.asks))
                .unwrap_or(first);
            if !kept.fits_tokens(water.high) {
                for round in question + 1..index {
                    if kept.fits_tokens(water.low) {
                        break;
                    }
                    drop_units(round..round + 1, units, &mut gone, &mut kept, &size);
                }
            }
            high = water.high;
        }
        // Turns that stay whatever their length may grow by as much as others before the next cut.
        if turns(first) <= keep_turns {
            high = water.above(kept);
        }
    }
    gone
}

fn drop_units(
    range: std::ops::Range<usize>,
    units: &[Unit],
    gone: &mut [bool],
    kept: &mut Size,
    size: &dyn Fn(&Unit) -> Size,
) {
    for index in range {
        if let (Some(unit), Some(gone)) = (units.get(index), gone.get_mut(index))
            && !*gone
        {
            *gone = true;
            *kept = *kept - size(unit);
        }
    }
}

#[cfg(test)]
mod exact;
#[cfg(test)]
mod tests;
