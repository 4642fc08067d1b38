//! Where the prompt log is.

use std::{fmt, path::PathBuf};

use tokio_postgres::Config;

/// The prompt log's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogStore {
    /// A file of SQLite's.
    Sqlite(PathBuf),
    /// Tables on a PostgreSQL server.
    Postgres(Box<LogServer>),
}

impl fmt::Display for LogStore {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(server) => server.fmt(f),
        }
    }
}

/// A PostgreSQL server; shown as its URL, which holds no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogServer {
    /// How to connect.
    pub config: Config,
    url: String,
}

/// A URL that cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub enum BadServer {
    /// It is none.
    #[error("`{0}` is no URL of a PostgreSQL server")]
    Scheme(String),
    /// A part of it is wrong.
    #[error("the URL is wrong{}", cause(.0))]
    Form(#[source] tokio_postgres::Error),
    /// It would be shown with the password.
    #[error("the URL carries a password; use password_env")]
    Password,
}

impl LogServer {
    /// A server by its URL and the password for it.
    ///
    /// # Errors
    /// When the URL is none of a PostgreSQL server, or carries a password.
    pub fn new(url: &str, password: Option<&str>) -> Result<Self, BadServer> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(BadServer::Scheme(url.to_owned()));
        }
        let mut config: Config = url.parse().map_err(BadServer::Form)?;
        if config.get_password().is_some() {
            return Err(BadServer::Password);
        }
        if let Some(password) = password {
            config.password(password);
        }
        Ok(Self {
            config,
            url: url.to_owned(),
        })
    }
}

impl fmt::Display for LogServer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.url)
    }
}

fn cause(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or(String::new(), |cause| format!(": {cause}"))
}
