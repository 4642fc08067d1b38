//! What the gateway and its workers hold in memory.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);
/// Growth after the warm-up that is taken for a leak, in MiB.
const LEAK: f64 = 5.0;

/// Readings of each process, in MiB, with their times.
pub(super) struct Memory {
    gateway: u32,
    began: Instant,
    readings: BTreeMap<u32, Vec<(Duration, f64)>>,
    told: u32,
}

impl Memory {
    pub(super) fn new(gateway: u32) -> Self {
        Self {
            gateway,
            began: Instant::now(),
            readings: BTreeMap::new(),
            told: 0,
        }
    }

    /// Takes a reading; each minute, what the last one was like.
    pub(super) fn look(&mut self) -> Option<String> {
        let now = self.began.elapsed();
        for pid in std::iter::once(self.gateway).chain(children(self.gateway)) {
            if let Some(mib) = resident_mib(pid) {
                self.readings.entry(pid).or_default().push((now, mib));
            }
        }
        let minute = u32::try_from(now.as_secs() / 60).unwrap_or(u32::MAX);
        if minute == self.told {
            return None;
        }
        self.told = minute;
        let from = now.saturating_sub(MINUTE);
        let processes = self.readings.iter().filter_map(|(pid, readings)| {
            let median = median(readings, from, now)?;
            let name = self.name(*pid);
            Some(format!("{name} {median:.1} MiB"))
        });
        let processes: Vec<String> = processes.collect();
        Some(format!("minute {minute}: {}", processes.join(", ")))
    }

    /// What has grown since the warm-up, a fifth of the time, by its medians over as long a time.
    pub(super) fn growth(&self, time: Duration, say: &impl Fn(&str)) -> Vec<String> {
        let part = time / 5;
        let mut faults = Vec::new();
        for (pid, readings) in &self.readings {
            let early = median(readings, part, part * 2);
            let late = median(readings, time - part, time);
            let name = self.name(*pid);
            let (Some(early), Some(late)) = (early, late) else {
                faults.push(format!("{name} did not last"));
                continue;
            };
            let most = readings.iter().map(|(_, mib)| *mib).fold(0.0, f64::max);
            say(&format!(
                "{name}: {early:.1} MiB after the warm-up, {late:.1} MiB at the end, {most:.1} MiB at most"
            ));
            if late - early > LEAK {
                faults.push(format!("{name} has grown by {:.1} MiB", late - early));
            }
        }
        faults
    }

    fn name(&self, pid: u32) -> String {
        if pid == self.gateway {
            return "gateway".to_owned();
        }
        let number = self.readings.keys().filter(|other| **other != self.gateway);
        let number = number.take_while(|other| **other != pid).count() + 1;
        format!("worker {number}")
    }
}

/// The middle of the readings in a time.
fn median(readings: &[(Duration, f64)], from: Duration, to: Duration) -> Option<f64> {
    let within = readings.iter().filter(|(at, _)| (from..=to).contains(at));
    let mut values: Vec<f64> = within.map(|(_, mib)| *mib).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let lists = tasks.into_iter().flatten().flatten();
    let lists = lists.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let ids = list.split_whitespace().filter_map(|id| id.parse().ok());
            ids.collect::<Vec<u32>>()
        })
        .collect()
}

fn resident_mib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
