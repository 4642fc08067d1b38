//! A streamed answer through the proxy: added time to its first byte, age of its tokens, CPU per token.

use std::{sync::Mutex, thread, time::Duration};

use crate::{
    load::{Client, chat_body},
    passthrough::Proxies,
    process::{median, percentile},
    stub::{TOKENS, now_micros},
};

/// Prints a table for one stream and for sixteen at once.
pub(crate) fn run() {
    let proxies = Proxies::start();
    let body = chat_body("stub", true, 8_000, "");
    println!("\nStreams of {TOKENS} tokens, 5 ms apart, through the proxy.");
    println!(
        "{:>7}  {:<14} {:>18} {:>16} {:>14}",
        "streams", "proxy", "first byte us (+)", "token age us", "CPU us/token"
    );
    for (streams, repeats) in [(1, 12), (16, 4)] {
        let targets = std::iter::once(("direct", &proxies.stub))
            .chain(proxies.proxies.iter().map(|(name, proxy)| (*name, proxy)));
        let mut direct = None;
        for (name, target) in targets {
            let (firsts, ages) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
            let before = target.cpu_micros();
            thread::scope(|scope| {
                for _ in 0..streams {
                    scope.spawn(|| {
                        let mut client = Client::connect(target.port);
                        for _ in 0..repeats {
                            one(&mut client, &body, &firsts, &ages);
                        }
                    });
                }
            });
            let spent = target.cpu_micros() - before;
            let mut ages = ages.into_inner().expect("ages");
            let first = median(firsts.into_inner().expect("firsts"));
            let direct = *direct.get_or_insert(first);
            println!(
                "{streams:>7}  {name:<14} {first:>10.0} {:>+7.0} {:>7.0} / {:>6.0} {:>14.1}",
                first - direct,
                percentile(&mut ages, 50.0),
                percentile(&mut ages, 99.0),
                spent / (streams * repeats * TOKENS) as f64,
            );
        }
    }
}

fn one(client: &mut Client, body: &[u8], firsts: &Mutex<Vec<f64>>, ages: &Mutex<Vec<f64>>) {
    let mut first: Option<Duration> = None;
    let status = client.post(body, |line, elapsed| {
        first.get_or_insert(elapsed);
        let sent = line
            .split('@')
            .nth(1)
            .and_then(|rest| rest.split(' ').next()?.parse::<u128>().ok());
        if let Some(sent) = sent {
            ages.lock()
                .expect("ages")
                .push(now_micros().saturating_sub(sent) as f64);
        }
    });
    assert_eq!(status, 200);
    firsts
        .lock()
        .expect("firsts")
        .push(first.expect("an answer").as_secs_f64() * 1e6);
}
