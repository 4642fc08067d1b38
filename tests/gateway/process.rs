//! What only a process of its own shows: trust in certificates, and running out of file descriptors.

use std::sync::Arc;

use pingora_core::tls::{
    ServerConfig, TlsAcceptor, install_default_crypto_provider, load_certs_and_key_files,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kit::{
    client::{Client, post},
    process::Process,
    upstream::{self, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");

/// Answers every https request with the request itself.
async fn https_echo() -> u16 {
    install_default_crypto_provider();
    let files =
        load_certs_and_key_files(&format!("{TLS}/server.pem"), &format!("{TLS}/server.key"));
    let (certificates, key) = files.unwrap().unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let upstream = Upstream::start().await;
    let port = upstream.address().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = upstream.listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us ends here.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut request = vec![0; 64 << 10];
                while let Ok(length @ 1..) = stream.read(&mut request).await {
                    if stream
                        .write_all(&upstream::answer(&request[..length]))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn https_upstreams_are_trusted_by_the_systems_authorities_only() {
    let port = https_echo().await;
    let authorities = format!("{TLS}/ca.pem");
    let nobody = format!("{TLS}/README.md");
    for host in ["localhost", "127.0.0.1"] {
        for (trusted, status) in [(&authorities, 200), (&nobody, 502)] {
            let dir = tempfile::tempdir().unwrap();
            let config =
                format!("[[upstream]]\nname = \"up\"\nurls = [\"https://{host}:{port}/v1\"]\n");
            let env = [("SSL_CERT_FILE", trusted.as_str())];
            let gateway = Process::start(dir.path(), &config, &env, 1024).await;
            let answer = post(gateway.address, CHAT, r#"{"model":"m"}"#).await;
            assert_eq!(
                answer.status(),
                status,
                "{host} {trusted}: {}",
                answer.text()
            );
            if status == 200 {
                let request = answer.text();
                assert!(
                    request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
                    "{request}"
                );
                assert!(
                    request.contains(&format!("Host: {host}:{port}\r\n")),
                    "{request}"
                );
                assert!(request.ends_with(r#"{"model":"m"}"#), "{request}");
            }
        }
    }
}

#[tokio::test]
async fn without_an_engine_only_upstreams_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let config = format!(
        "[[upstream]]\nname = \"up\"\nurls = [\"{}\"]\n",
        upstream.url()
    );
    let list = r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#;
    upstream.serve(|_| upstream::answer(list.as_bytes()));
    let none = [("RKGATE_ENGINE__LIBRARY", "none")];
    let gateway = Process::start(dir.path(), &config, &none, 1024).await;
    let models = Client::connect(gateway.address)
        .await
        .get("/v1/models")
        .await;
    assert_eq!(models.header("x-rkgate-class"), Some("none"));
    let models = models.json();
    let names: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["m"]);
    // It starts with the first time-out of pingora's own kind, and wakes a hundred times a second.
    let threads = gateway.threads();
    assert!(
        !threads.iter().any(|name| name == "Timer thread"),
        "{threads:?}"
    );
    assert!(threads.iter().any(|name| name == "gateway"), "{threads:?}");
}

#[tokio::test]
async fn clients_beyond_the_last_file_descriptor_wait_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Process::start(dir.path(), "", &[], 64).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = Client::connect(gateway.address).await;
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        clients.push(client);
    }
    // Those that were accepted are served, and leave room for the others.
    for client in &mut clients {
        assert_eq!(client.answer().await.status(), 200);
        client.writer.shutdown().await.unwrap();
    }
}
