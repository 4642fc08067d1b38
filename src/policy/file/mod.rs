//! Rule and policy files: their keys, and tables that were held against them.

pub mod keys;
pub mod schema;
pub(crate) mod table;
