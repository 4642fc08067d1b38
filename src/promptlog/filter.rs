//! Which records are meant.

use std::{str::FromStr, time::Duration};

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeZone, Utc};

use crate::config::Period;

/// Which records are meant: all that fit every value that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Requests that came at this time or later, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Requests that came before this time.
    pub until: Option<i64>,
    /// The class, or a group of them: `task/*`.
    pub class: Option<String>,
    /// The model that answered; `*` stands for any characters.
    pub model: Option<String>,
    /// A label that the request has.
    pub label: Option<String>,
    /// The conversation.
    pub conversation: Option<String>,
    /// The request's id.
    pub request: Option<String>,
    /// Whether the request failed: its status is 400 or higher.
    pub failed: Option<bool>,
    /// Words in what the person said last or in the answer, in any order; the last may be the beginning of one, with three
    /// letters at least. System prompts, thinking and the results of tools are not searched.
    pub text: Option<String>,
}

/// A point in time as it is written on the command line and in URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So long ago: `90m`, `1d`.
    Ago(Duration),
    /// At this time, in milliseconds since 1970.
    At(i64),
}

impl When {
    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> i64 {
        match self {
            Self::Ago(time) => {
                let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                Utc::now().timestamp_millis().saturating_sub(time)
            }
            Self::At(time) => time,
        }
    }
}

/// A text that is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no time: write how long ago, e.g. `90m` or `1d`, or a date such as `2026-11-22` or `2026-11-22T18:30`"
)]
pub struct NoTime(String);

impl FromStr for When {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        if let Ok(Period(time)) = text.parse() {
            return Ok(Self::Ago(time));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.timestamp_millis()));
        }
        let local = |time: NaiveDateTime| {
            let time = Local.from_local_datetime(&time).earliest();
            time.map(|time| Self::At(time.timestamp_millis()))
        };
        let times = [
            "%Y-%m-%dT%H:%M:%S",
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%d %H:%M",
        ];
        let time = times
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let midnight = || {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            date.and_hms_opt(0, 0, 0)
        };
        time.or_else(midnight)
            .and_then(local)
            .ok_or_else(|| NoTime(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ago_or_at() {
        assert_eq!("90m".parse(), Ok(When::Ago(Duration::from_secs(5400))));
        assert_eq!(
            "2026-11-22T18:30:00Z".parse(),
            Ok(When::At(1_795_372_200_000))
        );
        let day: When = "2026-11-22".parse().unwrap();
        let noon: When = "2026-11-22 12:00".parse().unwrap();
        let morning: When = "2026-11-22T11:00:00".parse().unwrap();
        assert_eq!(noon.millis() - day.millis(), 12 * 3_600_000);
        assert_eq!(noon.millis() - morning.millis(), 3_600_000);
        for text in ["", "yesterday", "2026-13-01", "12", "2026-11-22T"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }
}
