//! A share of something.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// A number from 0 to 1; also as a text, because the environment has nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Share(#[schemars(range(min = 0, max = 1))] pub(super) f64);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Share;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number from 0 to 1")
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Share, E> {
        let is_share = (0.0..=1.0).contains(&number);
        let odd = || E::invalid_value(de::Unexpected::Float(number), &self);
        is_share.then_some(Share(number)).ok_or_else(odd)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Share, E> {
        self.visit_f64(number as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
        let number = text.parse::<f64>();
        let number = number.map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
        self.visit_f64(number)
    }
}
