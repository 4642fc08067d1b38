//! What clients, metrics and the log say of the same requests, held against each other.

use std::collections::{BTreeMap, HashMap};

use super::{
    client::{Outcome, Sent, Usage},
    gateway::{Gateway, Metrics},
};

/// A client that went away, as the gateway calls it.
const GONE: u16 = 499;

/// A request in the log.
struct Record {
    status: u16,
    usage: Option<Usage>,
    is_shared: bool,
}

/// Says what the sums are and returns what is wrong with them.
pub(super) async fn settle(gateway: &Gateway, sent: &[Sent], say: &impl Fn(&str)) -> Vec<String> {
    let (metrics, counters) = (gateway.metrics().await, gateway.counters().await);
    let mut faults = Vec::new();
    let mut equal = |what: &str, a: f64, b: f64| {
        if (a - b).abs() > 0.5 {
            faults.push(format!("{what}: {a} and {b}"));
        }
    };

    let count =
        |is: &dyn Fn(&Outcome) -> bool| sent.iter().filter(|sent| is(&sent.outcome)).count() as f64;
    let gone = count(&|outcome| matches!(outcome, Outcome::Gone));
    let requests = |label: &str| metrics.sum("rkgate_requests_total", label);
    equal("requests sent and ended", sent.len() as f64, requests(""));
    let status = |status: u16| {
        count(&|outcome| matches!(outcome, Outcome::Answered { status: is, .. } if *is == status))
    };
    let ended = |status: u16| requests(&format!("status=\"{status}\""));
    for refused in [400, 404] {
        equal(
            &format!("answers with status {refused}"),
            status(refused),
            ended(refused),
        );
    }
    // Who goes away may have been answered before anybody noticed.
    equal(
        "answers and clients gone",
        status(200) + gone,
        ended(200) + ended(GONE),
    );

    let records = records(&gateway.log());
    equal(
        "requests and records of the log",
        sent.len() as f64,
        records.len() as f64,
    );
    let lost = metrics.sum("rkgate_prompt_log_records_lost_total", "");
    equal("records that the log lost", lost, 0.0);

    let tokens = |kind: &str| {
        let label = format!("gen_ai_token_type=\"{kind}\"");
        metrics.sum("gen_ai_client_token_usage_sum", &label)
    };
    let prefill =
        |kind: &str| metrics.sum("rkgate_prefill_tokens_total", &format!("kind=\"{kind}\""));
    let (reused, computed) = (prefill("reused"), prefill("computed"));
    let counter = |name: &str| counters[name].as_f64().unwrap();
    equal(
        "reused tokens of metrics and engine",
        reused,
        counter("cached_tokens"),
    );
    equal(
        "read tokens of metrics and engine",
        reused + computed,
        counter("prompt_tokens"),
    );
    // What gave way and went on was read more than once.
    let asked = tokens("input") - prefill("shared");
    equal(
        "prompt tokens asked for and never read",
        (asked - reused - computed).max(0.0),
        0.0,
    );
    let logged = |field: &dyn Fn(&Usage) -> u64| {
        let usages = records.values().filter_map(|record| record.usage.as_ref());
        usages.map(field).sum::<u64>() as f64
    };
    equal(
        "prompt tokens of metrics and log",
        tokens("input"),
        logged(&|usage| usage.prompt),
    );
    equal(
        "generated tokens of metrics and log",
        tokens("output"),
        logged(&|usage| usage.completion),
    );
    let is_shared = records.values().filter(|record| record.is_shared).count() as f64;
    equal(
        "shared answers of metrics and log",
        metrics.sum("rkgate_shared_answers_total", ""),
        is_shared,
    );
    equal(
        "jobs in the queue",
        metrics.sum("rkgate_queue_length", ""),
        0.0,
    );
    equal(
        "workers that failed",
        metrics.sum("rkgate_worker_failures_total", ""),
        0.0,
    );
    equal(
        "jobs that failed",
        metrics.sum("rkgate_jobs_failed_total", ""),
        0.0,
    );

    faults.extend(one_by_one(sent, &records));
    tell(&metrics, sent, &records, say);
    faults
}

/// What is wrong with single requests; each kind of fault once, with its number.
fn one_by_one(sent: &[Sent], records: &HashMap<String, Record>) -> Vec<String> {
    let mut faults: BTreeMap<String, (u64, &str)> = BTreeMap::new();
    for Sent { id, outcome } in sent {
        let fault = match (outcome, records.get(id)) {
            (Outcome::Lost(how), _) => Some(format!("no answer: {how}")),
            (_, None) => Some("not in the log".to_owned()),
            (Outcome::Answered { status, .. }, Some(record)) if record.status != *status => Some(
                format!("answered with {status}, logged with {}", record.status),
            ),
            (
                Outcome::Answered {
                    status, failure, ..
                },
                _,
            ) if !matches!(status, 200 | 400 | 404) => {
                Some(format!("status {status}: {failure:?}"))
            }
            (
                Outcome::Answered {
                    status: 200,
                    failure: Some(failure),
                    ..
                },
                _,
            ) => Some(format!("an answer that broke off: {failure}")),
            (
                Outcome::Answered {
                    usage: Some(told), ..
                },
                Some(record),
            ) => {
                let known = record.usage.is_some_and(|usage| {
                    // An embedding has no more than a prompt.
                    usage == *told
                        || (usage.prompt, usage.completion) == (told.prompt, 0) && told.cached == 0
                });
                (!known).then(|| "a usage that the log does not know".to_owned())
            }
            (
                Outcome::Answered {
                    status: 200,
                    usage: None,
                    ..
                },
                _,
            ) => Some("no usage".to_owned()),
            (Outcome::Answered { .. } | Outcome::Gone, Some(_)) => None,
        };
        if let Some(fault) = fault {
            faults.entry(fault).or_insert((0, id)).0 += 1;
        }
    }
    let told = faults.into_iter();
    told.map(|(fault, (count, id))| format!("{count} requests, {id} the first: {fault}"))
        .collect()
}

fn tell(metrics: &Metrics, sent: &[Sent], records: &HashMap<String, Record>, say: &impl Fn(&str)) {
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    for record in records.values() {
        *statuses.entry(record.status).or_default() += 1;
    }
    say(&format!("{} requests; by status {statuses:?}", sent.len()));
    for (name, label) in [
        ("rkgate_prefill_tokens_total", "kind=\"reused\""),
        ("rkgate_prefill_tokens_total", "kind=\"computed\""),
        ("rkgate_prefill_tokens_total", "kind=\"shared\""),
        (
            "gen_ai_client_token_usage_sum",
            "gen_ai_token_type=\"input\"",
        ),
        (
            "gen_ai_client_token_usage_sum",
            "gen_ai_token_type=\"output\"",
        ),
        ("rkgate_shared_answers_total", "how=\"cached\""),
        ("rkgate_shared_answers_total", "how=\"joined\""),
        ("rkgate_jobs_completed_total", ""),
        ("rkgate_jobs_cancelled_total", ""),
        ("rkgate_jobs_preempted_total", ""),
        ("rkgate_jobs_withdrawn_total", ""),
        ("rkgate_engine_loads_total", ""),
        ("rkgate_kv_mispredicted_total", ""),
        ("rkgate_prompt_log_content_dropped_total", ""),
    ] {
        say(&format!("{name} {label} {}", metrics.sum(name, label)));
    }
}

/// The log's records by the request's id.
fn records(csv: &str) -> HashMap<String, Record> {
    let mut rows = rows(csv).into_iter();
    let header = rows.next().unwrap();
    let column = |name: &str| header.iter().position(|known| known == name).unwrap();
    let [id, status, labels] = ["request_id", "status", "labels"].map(column);
    let [prompt, cached, completion] =
        ["prompt_tokens", "cached_tokens", "completion_tokens"].map(column);
    let record = |row: Vec<String>| {
        let usage = Usage {
            prompt: row[prompt].parse().unwrap_or(0),
            cached: row[cached].parse().unwrap_or(0),
            completion: row[completion].parse().unwrap_or(0),
        };
        let record = Record {
            status: row[status].parse().unwrap(),
            usage: (!row[prompt].is_empty()).then_some(usage),
            is_shared: row[labels]
                .split(' ')
                .any(|label| matches!(label, "cached" | "joined")),
        };
        (row[id].clone(), record)
    };
    rows.map(record).collect()
}

/// The rows of a CSV text.
fn rows(csv: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let (mut row, mut field) = (Vec::new(), String::new());
    let mut is_quoted = false;
    for character in csv.chars() {
        match character {
            // A doubled quote closes and opens again; no field here has one that matters.
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut field)),
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !is_quoted => {}
            other => field.push(other),
        }
    }
    rows
}
