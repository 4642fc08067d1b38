//! A gateway in this process, on a port of its own.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rkgate::{
    gateway::{
        BoundAddress, Gateway, GatewaySettings, Listener, LocalEngine, UpstreamSettings, Upstreams,
    },
    policy::{
        Platform,
        live::{Live, Origin},
        shipped,
    },
    telemetry::{Activity, Metrics, board::Board},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{engine::scripted, soon};

/// The rules and policies below a directory on top of the shipped ones.
pub(crate) fn policy(files: &Path) -> Arc<Live> {
    let origin = Origin {
        rules: files.join("rules"),
        policies: files.join("policies"),
        platform: Platform::Rk3588,
    };
    Arc::new(Live::start(origin).unwrap())
}

/// A directory whose files take the place of all shipped ones and say nothing.
pub(crate) fn no_rules() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["rules", "policies"] {
        std::fs::create_dir(dir.path().join(kind)).unwrap();
    }
    for file in shipped::files() {
        let name = file.path.strip_suffix(" (shipped)").unwrap();
        std::fs::write(dir.path().join(name), "schema = 1\n").unwrap();
    }
    dir
}

/// A directory with these rules and policies of a user's.
pub(crate) fn local_rules(rules: &str, policies: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (kind, text) in [("rules", rules), ("policies", policies)] {
        std::fs::create_dir(dir.path().join(kind)).unwrap();
        let file = dir.path().join(kind).join("90-local.toml");
        std::fs::write(file, format!("schema = 1\n{text}")).unwrap();
    }
    dir
}

/// A running gateway.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) activity: Arc<Activity>,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Running {
    /// Starts a gateway with the shipped rules in front of an engine and upstreams.
    pub(crate) async fn start(
        settings: GatewaySettings,
        engine: impl LocalEngine,
        upstreams: Vec<UpstreamSettings>,
    ) -> Self {
        Self::with_files(Path::new("/nonexistent"), settings, engine, upstreams).await
    }

    /// Starts a gateway with the rules and policies below a directory on top of the shipped ones.
    pub(crate) async fn with_files(
        files: &Path,
        settings: GatewaySettings,
        engine: impl LocalEngine,
        upstreams: Vec<UpstreamSettings>,
    ) -> Self {
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let BoundAddress::Tcp(address) = *listener.address() else {
            panic!("not TCP")
        };
        let metrics = Arc::new(Metrics::new(Board::new("/nonexistent")));
        let upstreams = Upstreams::new(upstreams).unwrap();
        let gateway = Gateway::new(
            settings,
            Arc::new(engine),
            upstreams,
            policy(files),
            Arc::clone(&metrics),
        );
        let activity = gateway.activity();
        let stop = CancellationToken::new();
        let served = tokio::spawn(gateway.serve(listener, stop.clone()));
        Self {
            address,
            metrics,
            activity,
            stop,
            served,
        }
    }

    /// Starts a gateway without models of its own in front of one upstream.
    pub(crate) async fn relaying(url: Url) -> Self {
        let (engine, _) = scripted(&[]);
        Self::start(
            GatewaySettings::default(),
            engine,
            vec![UpstreamSettings::new("up", vec![url])],
        )
        .await
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(self) {
        soon("the gateway to stop", self.served).await.unwrap();
    }
}
