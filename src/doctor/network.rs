//! Addresses: our own and those of upstreams.

use std::{io, path::Path, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    time::timeout,
};
use url::Url;

use super::{Finding, running::Running};
use crate::config::{Address, Config};

/// How long an upstream may take to answer the phone.
const REACH: Duration = Duration::from_secs(2);

pub(super) async fn listeners(config: &Config, running: &Running) -> Vec<Finding> {
    vec![
        listener("api", &config.listen.api, running).await,
        listener("admin", &config.listen.admin, running).await,
    ]
}

pub(super) async fn upstreams(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for upstream in &config.upstreams {
        for url in &upstream.urls {
            findings.push(reach(&upstream.name, url).await);
        }
    }
    findings
}

/// What a person types into Open WebUI, where the API listens here; it stands on the same machine as far as we know.
#[must_use]
pub fn webui_url(api: &Address) -> String {
    match api {
        Address::Tcp(address) if address.ip().is_unspecified() => {
            format!("http://<this machine>:{}/v1", address.port())
        }
        Address::Tcp(address) => format!("http://{address}/v1"),
        Address::Unix(path) => format!("(through a proxy to {}) /v1", path.display()),
    }
}

async fn listener(name: &str, address: &Address, running: &Running) -> Finding {
    let taken = match address {
        Address::Tcp(tcp) => TcpListener::bind(tcp).await.map(drop),
        Address::Unix(path) => socket(path).await,
    };
    match taken {
        Ok(()) => Finding::ok("ports", format!("{name}: {address} is free")),
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => Finding::fail(
            "ports",
            format!("{name}: cannot listen on {address}: {error}"),
            "choose another address in [listen]",
        ),
        Err(_) if *running != Running::No => Finding::ok(
            "ports",
            format!("{name}: the gateway that runs has {address}"),
        ),
        Err(_) => Finding::warn(
            "ports",
            format!("{name}: {address} is in use, and no gateway answers on the admin address"),
            "ss -lntxp shows by whom; end that program, or choose another listen address",
        ),
    }
}

/// A socket file is in the way only while somebody listens behind it.
async fn socket(path: &Path) -> io::Result<()> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    tokio::fs::metadata(dir).await.map(drop)
}

async fn reach(name: &str, url: &Url) -> Finding {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let problem = match timeout(REACH, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => return Finding::ok("upstream", format!("{name}: {url} can be reached")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", REACH.as_secs()),
    };
    let fix = format!(
        "start the server, or correct its URL; try: curl {}/models",
        url.as_str().trim_end_matches('/')
    );
    Finding::fail("upstream", format!("{name}: {url}: {problem}"), fix)
}
