//! A connection to the server.
//!
//! Whoever reads or writes the log waits for it, on a thread that may: so the connection is driven by that thread and
//! has none of its own.

use std::{collections::HashMap, future::Future, mem, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{
    Client, Config, NoTls, Row, RowStream, Statement, config::SslMode, types::ToSql,
};

use super::tls;
use crate::{
    config::LogServer,
    promptlog::{query::Value, store::StoreError},
};

/// Longest time to connect to one of the server's addresses.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time to wait for anything else; the server gives up by itself a little earlier.
const PATIENCE: Duration = Duration::from_secs(35);
/// Longest time that taking leave may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Statements that are remembered.
const MOST_STATEMENTS: usize = 64;

/// Compiling a query costs more than it gains here. A writer that hangs must not hold the lock of the others for ever.
const SET_UP: &str = "SET jit = off; SET statement_timeout = '30s'; SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '60s'";

/// A connection to the server.
pub(super) struct Session {
    runtime: Runtime,
    client: Option<Client>,
    connection: JoinHandle<()>,
    statements: HashMap<String, Statement>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Connects.
    pub(super) fn open(server: &LogServer) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Connection {
            reason: error.to_string(),
        })?;
        let (client, connection) = wait(&runtime, "open", async {
            let (client, connection) = connect(&server.config).await?;
            client.batch_execute(SET_UP).await.map_err(failed("open"))?;
            Ok((client, connection))
        })?;
        Ok(Self {
            runtime,
            client: Some(client),
            connection,
            statements: HashMap::new(),
        })
    }

    /// Does something with the connection, in a bounded time.
    pub(super) fn run<T>(
        &mut self,
        attempt: &'static str,
        work: impl AsyncFnOnce(&mut Statements<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(client) = &mut self.client else {
            return Err(StoreError::Silent { attempt });
        };
        let mut statements = Statements {
            client,
            known: &mut self.statements,
        };
        wait(&self.runtime, attempt, work(&mut statements))
    }
}

impl Drop for Session {
    /// Says goodbye, or else the server complains in its log.
    fn drop(&mut self) {
        drop(self.client.take());
        let connection = &mut self.connection;
        // The server may be away.
        let _ = self
            .runtime
            .block_on(async { timeout(FAREWELL, connection).await });
    }
}

fn wait<T>(
    runtime: &Runtime,
    attempt: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    runtime
        .block_on(async { timeout(PATIENCE, work).await })
        .unwrap_or(Err(StoreError::Silent { attempt }))
}

async fn connect(config: &Config) -> Result<(Client, JoinHandle<()>), StoreError> {
    let mut config = config.clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_application_name().is_none() {
        config.application_name("rkgate");
    }
    let failed = failed("open");
    if config.get_ssl_mode() == SslMode::Require {
        let (client, connection) = config.connect(tls::encryption()?).await.map_err(failed)?;
        return Ok((client, tokio::spawn(drive(connection))));
    }
    config.ssl_mode(SslMode::Disable);
    let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
    Ok((client, tokio::spawn(drive(connection))))
}

/// What goes wrong with a connection, its client hears of.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    let _ = connection.await;
}

fn failed(attempt: &'static str) -> impl FnOnce(tokio_postgres::Error) -> StoreError {
    StoreError::server(attempt)
}

/// A connection with the statements that were prepared on it.
pub(super) struct Statements<'s> {
    pub(super) client: &'s mut Client,
    known: &'s mut HashMap<String, Statement>,
}

impl Statements<'_> {
    /// A statement; prepared where it is not yet.
    pub(super) async fn prepare(&mut self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.known.get(sql) {
            return Ok(statement.clone());
        }
        if self.known.len() >= MOST_STATEMENTS {
            mem::take(self.known);
        }
        let statement = self.client.prepare(sql).await?;
        self.known.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// The first row, if there is one.
    pub(super) async fn first(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, tokio_postgres::Error> {
        let statement = self.prepare(sql).await?;
        self.client.query_opt(&statement, values).await
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute("BEGIN").await
    }

    /// Ends it: what was done takes effect, or not.
    pub(super) async fn end(&mut self, well: bool) -> Result<(), tokio_postgres::Error> {
        let end = if well { "COMMIT" } else { "ROLLBACK" };
        self.client.batch_execute(end).await
    }

    /// All rows, as they come.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<RowStream, tokio_postgres::Error> {
        let statement = self.prepare(sql).await?;
        let values = values.iter().map(|value| match value {
            Value::Integer(number) => number as &(dyn ToSql + Sync),
            Value::Text(text) => text,
        });
        self.client.query_raw(&statement, values).await
    }
}
