//! Sizes, times and addresses as they are written in the configuration.

use std::{
    borrow::Cow,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Text that is not the value it should be, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct Malformed {
    text: String,
    expected: &'static str,
}

impl Malformed {
    fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            expected,
        }
    }
}

/// An amount of memory or disk, e.g. `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

const BYTE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        scaled(text, &BYTE_UNITS).map(Self).ok_or_else(|| {
            Malformed::new(
                text,
                "a size: write a whole number and B, kB, MB, GB, KiB, MiB or GiB, e.g. `64MiB`",
            )
        })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write_scaled(f, self.0, &BYTE_UNITS)
    }
}

/// A stretch of time, e.g. `30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(pub Duration);

const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("ms", 1),
    ("m", 60_000),
    ("s", 1_000),
];

impl Period {
    pub(super) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for Period {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        scaled(text, &TIME_UNITS)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| {
                Malformed::new(
                    text,
                    "a time: write a whole number and ms, s, m, h or d, e.g. `30s`",
                )
            })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let units = [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ];
        if millis == 0 {
            f.write_str("0s")
        } else {
            write_scaled(f, millis, &units)
        }
    }
}

/// `text` as a number of the smallest unit.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    number.trim_end().parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes `value` in the first unit that divides it.
fn write_scaled(f: &mut fmt::Formatter, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let whole = |factor: &u64| value >= *factor && value.is_multiple_of(*factor);
    match units.iter().find(|(_, factor)| whole(factor)) {
        Some((unit, factor)) => write!(f, "{}{unit}", value / factor),
        None => write!(f, "{value}{}", units.last().map_or("", |(unit, _)| unit)),
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// TCP; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether only processes of this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || {
            Malformed::new(
                text,
                "an address: write `IP:PORT`, `localhost:PORT` or `unix:/path`",
            )
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(malformed())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| malformed())?;
            return Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| malformed())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Memory that the resident models may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Budget {
    /// What the board can spare.
    Auto,
    /// This much.
    Bytes(ByteSize),
}

impl FromStr for Budget {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let expected = "a memory budget: write `auto` or a size, e.g. `6GiB`";
        text.parse()
            .map(Self::Bytes)
            .map_err(|_| Malformed::new(text, expected))
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Bytes(size) => size.fmt(f),
        }
    }
}

/// Lets a type that is written as a string be a field of the file form, with `pattern` in its schema.
macro_rules! written_as_string {
    ($($type:ident: $pattern:literal),* $(,)?) => {$(
        impl TryFrom<String> for $type {
            type Error = Malformed;

            fn try_from(text: String) -> Result<Self, Malformed> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )*};
}

written_as_string! {
    ByteSize: "^[0-9]+ *(B|kB|MB|GB|KiB|MiB|GiB)$",
    Period: "^[0-9]+ *(ms|s|m|h|d)$",
    Address: "^(unix:.+|.+:[0-9]+)$",
    Budget: "^(auto|[0-9]+ *(B|kB|MB|GB|KiB|MiB|GiB))$",
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_and_times_are_read_with_their_units() {
        assert_eq!("64MiB".parse(), Ok(ByteSize(64 << 20)));
        assert_eq!("6 GB".parse(), Ok(ByteSize(6_000_000_000)));
        assert_eq!("0B".parse(), Ok(ByteSize(0)));
        assert_eq!("250ms".parse(), Ok(Period(Duration::from_millis(250))));
        assert_eq!("2m".parse(), Ok(Period::seconds(120)));
        assert_eq!("30d".parse(), Ok(Period::seconds(30 * 86_400)));
        for text in [
            "",
            "64",
            "MiB",
            "-1s",
            "1.5GiB",
            "64mib",
            "99999999999999GiB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_tcp_or_unix() {
        assert_eq!(
            "127.0.0.1:0".parse(),
            Ok(Address::Tcp(([127, 0, 0, 1], 0).into()))
        );
        assert_eq!(
            "localhost:80".parse(),
            Ok(Address::Tcp(([127, 0, 0, 1], 80).into()))
        );
        assert_eq!(
            "unix:/run/rkgate".parse(),
            Ok(Address::Unix("/run/rkgate".into()))
        );
        assert!(
            "[::ffff:127.0.0.1]:1"
                .parse::<Address>()
                .unwrap()
                .is_local()
        );
        assert!(!"[::]:1".parse::<Address>().unwrap().is_local());
        for text in [
            "",
            "3588",
            "127.0.0.1",
            "unix:",
            "localhost:x",
            "example.org:80",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes: u64, millis in 0..u64::MAX / 2) {
            let size = ByteSize(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let period = Period(Duration::from_millis(millis));
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text: String) {
            let _ = text.parse::<ByteSize>();
            let _ = text.parse::<Period>();
            let _ = text.parse::<Address>();
            let _ = text.parse::<Budget>();
        }
    }
}
