//! Rule and policy files: their keys, and tables that were held against them.

pub mod condition;
pub mod keys;
pub mod policies;
pub mod rules;
pub mod schema;
pub(crate) mod table;
pub mod test;
