#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Instant;

use super::*;

fn headers(traceparent: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", traceparent.parse().unwrap());
    headers
}

fn traces(endpoint: &str, sample_ratio: f64) -> Traces {
    let settings = TraceSettings {
        endpoint: endpoint.parse().unwrap(),
        headers: Vec::new(),
        sample_ratio,
    };
    Traces::start(settings, &Handle::current())
}

fn trace(parent: Parent) -> RequestTrace {
    RequestTrace {
        parent,
        name: "chat".to_owned(),
        begun: std::time::UNIX_EPOCH,
        duration: Duration::from_secs(1),
        attributes: Vec::new(),
        phases: Vec::new(),
        error: None,
    }
}

#[tokio::test]
async fn a_caller_who_has_a_trace_decides_whether_it_is_sent() {
    let (all, none) = (
        traces("http://127.0.0.1:1", 1.0),
        traces("http://127.0.0.1:1", 0.0),
    );
    let sent = headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let unsent = headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    assert!(none.sample(&sent).is_some());
    assert!(all.sample(&unsent).is_none());
    assert!(none.sample(&HeaderMap::new()).is_none());
    let spans = trace(all.sample(&sent).unwrap()).to_json();
    assert_eq!(spans[0]["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(spans[0]["parentSpanId"], "00f067aa0ba902b7");
}

#[tokio::test]
async fn what_is_no_traceparent_begins_a_trace() {
    let all = traces("http://127.0.0.1:1", 1.0);
    for odd in [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        let spans = trace(all.sample(&headers(odd)).unwrap()).to_json();
        assert_eq!(spans[0]["parentSpanId"], "", "{odd}");
    }
}

#[tokio::test]
async fn the_share_of_traces_that_is_sent_is_about_what_was_asked_for() {
    let some = traces("http://127.0.0.1:1", 0.25);
    let sent = (0..4000).filter(|_| some.sample(&HeaderMap::new()).is_some());
    let sent = sent.count();
    assert!((800..1200).contains(&sent), "{sent} of 4000");
}

#[tokio::test]
async fn nobody_waits_for_a_collector_that_does_not_answer() {
    // It accepts connections, and that is all.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let traces = traces(&format!("http://{}", deaf.local_addr().unwrap()), 1.0);
    let begun = Instant::now();
    for _ in 0..MOST_WAITING + 1000 {
        let parent = traces.sample(&HeaderMap::new()).unwrap();
        traces.send(trace(parent));
    }
    assert!(traces.dropped() >= 1);
    traces.close().await;
    assert!(begun.elapsed() < FAREWELL * 3);
}
