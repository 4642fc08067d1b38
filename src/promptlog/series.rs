//! How the log's numbers went over time.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Filter, Group, Reader, StoreError, Sums,
    stats::{Gathered, Groups},
};

/// What requests add up to, over equal spans of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// When the first span begins, in milliseconds since 1970.
    pub start: i64,
    /// Length of a span in milliseconds.
    pub step: i64,
    /// The spans, oldest first.
    pub buckets: Vec<Bucket>,
    /// The whole time, by class and model; most requests first.
    pub groups: Vec<Group>,
}

/// What the requests of one span add up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Bucket {
    /// Requests by class.
    pub classes: BTreeMap<String, u64>,
    /// What they add up to.
    #[serde(flatten)]
    pub sums: Sums,
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Lengths of spans that people think in.
const STEPS: [i64; 15] = [
    MINUTE / 6,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    30 * DAY,
];

impl Reader {
    /// Sums of the records that fit, over `most` spans of time or fewer, from the oldest of them to the filter's end or
    /// `now`, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn series(&mut self, filter: &Filter, most: u16, now: i64) -> Result<Series, StoreError> {
        let until = filter.until.unwrap_or(now);
        let since = self.oldest(filter)?.unwrap_or(until).min(until);
        let step = step(until.saturating_sub(since), most.max(2));
        // Spans begin at multiples of their length, so that they do not wander from one look to the next.
        let start = since.div_euclid(step).saturating_mul(step);
        let place = |time: i64| usize::try_from(time.saturating_sub(start) / step).unwrap_or(0);
        let last = place(until);
        let mut buckets = Vec::new();
        buckets.resize_with(last + 1, || {
            (BTreeMap::<i64, u64>::new(), Gathered::default())
        });
        let mut groups = Groups::default();
        self.scan(filter, |row| {
            groups.add(row);
            // A clock may have been set back.
            if let Some((classes, gathered)) = buckets.get_mut(place(row.time).min(last)) {
                *classes.entry(row.class).or_default() += 1;
                gathered.add(row);
            }
        })?;
        let buckets = buckets.into_iter().map(|(classes, gathered)| {
            let named = |(class, count): (i64, u64)| Ok((self.word(class)?.to_string(), count));
            Ok(Bucket {
                classes: classes.into_iter().map(named).collect::<Result<_, _>>()?,
                sums: gathered.finish(),
            })
        });
        Ok(Series {
            start,
            step,
            buckets: buckets.collect::<Result<_, StoreError>>()?,
            groups: groups.finish(self)?,
        })
    }
}

/// The shortest length of which `most` cover the time, beginning anywhere in the first.
fn step(time: i64, most: u16) -> i64 {
    let shortest = time / i64::from(most - 1) + 1;
    let fits = STEPS.into_iter().find(|step| *step >= shortest);
    fits.unwrap_or(shortest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::promptlog::tests::{LIMITS, Log, NOW, chat};

    #[test]
    fn records_are_summed_up_in_the_spans_of_their_time() {
        for log in Log::each() {
            let mut store = log.store(LIMITS);
            let hours = [0, 1, 1, 5];
            let records: Vec<_> = hours
                .into_iter()
                .map(|hour| chat(NOW + hour * HOUR, "How warm?", "Very."))
                .collect();
            store.write(&mut records.iter()).unwrap();
            let series = |filter: &Filter| {
                let mut reader = log.reader();
                reader.series(filter, 13, NOW + 6 * HOUR).unwrap()
            };
            let all = series(&Filter::default());
            assert_eq!(all.step, HOUR);
            assert_eq!(all.start, NOW.div_euclid(HOUR) * HOUR);
            let counts: Vec<u64> = all.buckets.iter().map(|it| it.sums.requests).collect();
            assert_eq!(counts, [1, 2, 0, 0, 0, 1, 0]);
            assert_eq!(all.buckets[1].classes["chat"], 2);
            assert_eq!(all.groups.len(), 1);
            assert_eq!(all.groups[0].sums.requests, 4);
            let late = series(&Filter {
                since: Some(NOW + 4 * HOUR),
                ..Filter::default()
            });
            let total: u64 = late.buckets.iter().map(|it| it.sums.requests).sum();
            assert_eq!(total, 1);
        }
    }

    #[test]
    fn an_empty_log_has_an_empty_span() {
        let log = Log::new();
        log.store(LIMITS);
        let series = log.reader().series(&Filter::default(), 60, NOW).unwrap();
        assert!(series.buckets.iter().all(|it| it.sums.requests == 0));
        assert_eq!(series.groups, []);
    }

    #[test]
    fn spans_cover_the_time_and_are_no_more_than_asked_for() {
        for time in [0, 1, 59_000, HOUR, DAY, 7 * DAY + 1, 4000 * DAY] {
            for most in [2, 48, 1000] {
                let step = step(time, most);
                let spans = (time + step - 1) / step + 1;
                assert!(spans <= i64::from(most), "{time} / {step} in {most}");
            }
        }
        assert_eq!(step(DAY, 49), HOUR);
        assert_eq!(step(HOUR, 61), 2 * MINUTE);
    }
}
