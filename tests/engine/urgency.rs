//! Who gives way to whom.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use rkgate::{
    chat::FinishReason,
    engine::{EngineError, Job, Origin, Progress, QueueClass, Withdrawal, settings::MemoryBudget},
};

use crate::bench::{Bench, Outcome, chat, first_piece, follow, run, until};

const MODEL: &str = "qwen3-0.6b";
const OTHER: &str = "minicpm4-0.5b";
const STORY: &str = "Tell me a very long story.";

fn task(model: &str, text: &str) -> Job {
    Job {
        queue: QueueClass {
            name: "after-chat".into(),
            urgency: 4,
            fallback: true,
            ..QueueClass::default()
        },
        ..chat(model, &[text])
    }
}

fn short(mut job: Job) -> Job {
    job.max_tokens = Some(3);
    job
}

fn withdrawn(outcome: &Outcome) -> Withdrawal {
    match outcome.error() {
        EngineError::Withdrawn { why, retry_after } if !retry_after.is_zero() => *why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_task_that_gave_way_to_a_chat_goes_on_where_it_was() {
    for (chat_model, budget) in [(MODEL, 64 << 30), (OTHER, 64 << 30), (OTHER, 1)] {
        // With a budget of nothing each model pushes out the other.
        let bench = Bench::new()
            .speed("10")
            .with(|settings| settings.memory_budget = MemoryBudget::Bytes(budget));
        let engine = bench.start();
        run(&engine, short(chat(chat_model, &["Hello"])))
            .await
            .completion();
        let whole = run(&engine, task(MODEL, STORY)).await;
        let mut stopped = engine.submit(task(MODEL, STORY)).await.unwrap();
        let mut text = first_piece(&mut stopped).await;
        let ended = Mutex::new(Vec::new());
        let chat = async {
            let mut chat = engine
                .submit(short(chat(chat_model, &["Hello"])))
                .await
                .unwrap();
            first_piece(&mut chat).await;
            let writes_since = Instant::now();
            follow(chat).await.completion();
            ended.lock().unwrap().push("chat");
            writes_since.elapsed() / 2
        };
        let rest = async {
            let rest = follow(stopped).await;
            ended.lock().unwrap().push("task");
            rest
        };
        let (at_least, rest) = tokio::join!(chat, rest);
        assert_eq!(ended.into_inner().unwrap(), ["chat", "task"]);
        let again = rest.started.expect("told that it goes on");
        assert!(again.queued >= at_least, "{again:?}");
        text.push_str(&rest.text);
        assert_eq!(text, whole.text);
        let (usage, expected) = (rest.completion().usage, whole.completion().usage);
        assert_eq!(
            (usage.prompt, usage.completion),
            (expected.prompt, expected.completion)
        );
        assert!(rest.places.contains(&1), "{:?}", rest.places);
        // The NPU's time, without that of the chat.
        let (decode, alone) = (rest.completion().decode, whole.completion().decode);
        assert!(decode > alone.mul_f64(0.9) && decode < alone.mul_f64(1.1));
    }
}

#[tokio::test]
async fn the_second_time_a_task_gives_way_its_fallback_is_the_answer() {
    let bench = Bench::new().speed("5");
    let engine = bench.start();
    let mut given_up = engine.submit(task(MODEL, STORY)).await.unwrap();
    first_piece(&mut given_up).await;
    run(&engine, short(chat(MODEL, &["Hello"])))
        .await
        .completion();
    first_piece(&mut given_up).await;
    let mut second = engine.submit(chat(MODEL, &[STORY])).await.unwrap();
    let outcome = follow(given_up).await;
    assert_eq!(withdrawn(&outcome), Withdrawal::Preempted);
    first_piece(&mut second).await;
    assert_eq!(engine.status().counters.withdrawn, 1);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_task_has_given_way_leaves_nothing_behind() {
    let bench = Bench::new().speed("5");
    let engine = bench.start();
    let mut stopped = engine.submit(task(MODEL, STORY)).await.unwrap();
    first_piece(&mut stopped).await;
    let mut running = engine.submit(chat(MODEL, &[STORY])).await.unwrap();
    first_piece(&mut running).await;
    drop(stopped);
    until("an empty queue", || engine.status().queued == 0).await;
    drop(running);
    until("the end", || engine.status().counters.cancelled == 2).await;
    run(&engine, short(chat(MODEL, &["Hello"])))
        .await
        .completion();
}

#[tokio::test]
async fn at_its_deadline_a_task_is_answered_by_its_fallback_and_the_npu_is_free() {
    let bench = Bench::new().speed("1");
    let engine = bench.start();
    run(&engine, short(chat(MODEL, &["Hello"])))
        .await
        .completion();
    let mut late = task(MODEL, STORY);
    late.queue.deadline = Some(Instant::now() + Duration::from_secs(4));
    let late = engine.submit(late).await.unwrap();
    let mut waiting = task(MODEL, STORY);
    waiting.queue.deadline = Some(Instant::now() + Duration::from_millis(100));
    let waiting = engine.submit(waiting).await.unwrap();
    assert_eq!(withdrawn(&follow(waiting).await), Withdrawal::Deadline);
    let late = follow(late).await;
    assert_eq!(withdrawn(&late), Withdrawal::Deadline);
    assert!(late.piece_tokens > 0, "it was at work");
    run(&engine, short(chat(MODEL, &["Hello"])))
        .await
        .completion();
}

#[tokio::test]
async fn a_task_that_never_ends_is_answered_by_its_fallback_and_holds_up_no_chat() {
    let bench = Bench::new().speed("1").fault("endless");
    let engine = bench.start();
    run(&engine, short(chat(MODEL, &["Hello"])))
        .await
        .completion();
    let mut endless = task(MODEL, "A title, please.");
    endless.queue.deadline = Some(Instant::now() + Duration::from_secs(6));
    let mut endless = engine.submit(endless).await.unwrap();
    first_piece(&mut endless).await;
    let chat = async {
        let mut chat = engine.submit(short(chat(MODEL, &["Hello"]))).await.unwrap();
        let asked = Instant::now();
        first_piece(&mut chat).await;
        let first_token = asked.elapsed();
        follow(chat).await.completion();
        assert_eq!(engine.status().counters.withdrawn, 0, "the task waits");
        first_token
    };
    let (first_token, endless) = tokio::join!(chat, follow(endless));
    // A token of the task, and the reading of a short prompt.
    assert!(first_token < Duration::from_secs(2), "{first_token:?}");
    assert_eq!(withdrawn(&endless), Withdrawal::Deadline);
    assert!(endless.piece_tokens > 0, "it went on after the chat");
    // One with a limit ends by that.
    let mut limited = task(MODEL, "A title, please.");
    limited.max_tokens = Some(5);
    let completion = run(&engine, limited).await.completion();
    assert_eq!(completion.finish, FinishReason::Length);
    assert_eq!(completion.usage.completion, 5);
}

#[tokio::test]
async fn the_newest_completion_of_one_user_replaces_the_one_before() {
    let bench = Bench::new().speed("5");
    let engine = bench.start();
    let typed = |user: &str| {
        let mut job = task(MODEL, STORY);
        job.queue.newest_wins = true;
        job.origin.user = Some(user.into());
        job
    };
    let mut running = engine.submit(typed("a")).await.unwrap();
    first_piece(&mut running).await;
    let other = engine.submit(typed("b")).await.unwrap();
    let newer = engine.submit(short(typed("a"))).await.unwrap();
    assert_eq!(withdrawn(&follow(running).await), Withdrawal::Superseded);
    follow(other).await.completion();
    follow(newer).await.completion();
}

#[tokio::test]
async fn a_title_that_comes_just_before_its_chat_runs_after_it() {
    let bench = Bench::new();
    let engine = bench.start();
    // The moment is short; on a busy machine a chat may miss it.
    for conversation in 0..20 {
        let origin = Origin {
            user: Some("a".into()),
            conversation: Some(conversation.to_string().into()),
        };
        let mut title = short(task(MODEL, "A title, please"));
        title.origin = origin.clone();
        let mut question = short(chat(MODEL, &["Hello"]));
        question.origin = origin;
        let mut title = engine.submit(title).await.unwrap();
        let sent = Instant::now();
        let question = engine.submit(question).await.unwrap();
        let in_time = sent.elapsed() < Duration::from_millis(500);
        follow(question).await.completion();
        let kept_free = !matches!(title.progress.try_recv(), Ok(Progress::Started(_)));
        follow(title).await.completion();
        if in_time {
            assert!(kept_free, "the title began before its chat");
            return;
        }
    }
    panic!("no chat was in time");
}
