//! The one NPU that all handles of all processes share, and the passing of time on it.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
    time::{Duration, Instant},
};

/// Oversleeping below this is made good by the next step.
const SLACK: Duration = Duration::from_millis(5);

/// One handle's way to the NPU.
///
/// Work is done in steps (a chunk of a prefill, one decode step), each with the NPU to itself, so that two
/// runs proceed at half speed each, as on a board.
#[derive(Debug)]
pub(crate) struct Npu {
    /// How many times faster than a board; 0 takes no time at all.
    speed: f64,
    locks: Option<Locks>,
}

/// Advisory locks on two files. They end with the process, however it ends.
///
/// Who wants the NPU first takes the turn, then the NPU, then gives the turn back: a run that goes from step to
/// step cannot overtake one that waits.
#[derive(Debug)]
struct Locks {
    turn: File,
    npu: File,
}

/// The time line of one run.
#[derive(Debug)]
pub(crate) struct Pace {
    due: Instant,
    /// What happens before the first step is the simulation's own work and costs no board time.
    begun: bool,
}

impl Pace {
    /// Time counts from now on.
    pub(crate) fn start() -> Self {
        Self {
            due: Instant::now(),
            begun: false,
        }
    }
}

impl Npu {
    /// # Errors
    /// The lock files cannot be opened.
    pub(crate) fn open(speed: f64, lock: &Path) -> io::Result<Self> {
        // Nothing is occupied where no time passes.
        let locks = if speed > 0.0 {
            Some(Locks::open(lock)?)
        } else {
            None
        };
        Ok(Self { speed, locks })
    }

    /// Occupies the NPU for `ms` of board time. Returns at an absolute deadline so that errors do not add up.
    pub(crate) fn work(&self, pace: &mut Pace, ms: f64) {
        let Some(locks) = &self.locks else { return };
        let waited = locks.acquire();
        let now = Instant::now();
        let late = pace.begun && now.duration_since(pace.due) > SLACK;
        if waited || late {
            pace.due = now;
        }
        pace.begun = true;
        pace.due += self.scaled(ms);
        sleep_until(pace.due);
        let _ = locks.npu.unlock();
    }

    /// Lets `ms` of board time pass without the NPU.
    pub(crate) fn pass(&self, ms: f64) {
        sleep_until(Instant::now() + self.scaled(ms));
    }

    fn scaled(&self, ms: f64) -> Duration {
        if self.speed > 0.0 {
            Duration::from_secs_f64((ms / 1000.0 / self.speed).max(0.0))
        } else {
            Duration::ZERO
        }
    }
}

impl Locks {
    fn open(path: &Path) -> io::Result<Self> {
        let open = |path: &Path| {
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
        };
        let mut turn = path.as_os_str().to_owned();
        turn.push(".turn");
        Ok(Self {
            turn: open(turn.as_ref())?,
            npu: open(path)?,
        })
    }

    /// Takes the NPU; true if it was occupied. A lock that fails (which local file systems do not) is taken as free.
    fn acquire(&self) -> bool {
        let contended = self.turn.try_lock().is_err();
        if contended {
            let _ = self.turn.lock();
        }
        let occupied = self.npu.try_lock().is_err();
        if occupied {
            let _ = self.npu.lock();
        }
        let _ = self.turn.unlock();
        contended || occupied
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a simulated device blocks its caller, as the real one does"
)]
fn sleep_until(due: Instant) {
    while let Some(rest) = due
        .checked_duration_since(Instant::now())
        .filter(|rest| !rest.is_zero())
    {
        std::thread::sleep(rest);
    }
}

/// Blocks for ever.
pub(crate) fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn steps_keep_to_their_deadlines() {
        let dir = tempfile::tempdir().unwrap();
        let npu = Npu::open(1.0, &dir.path().join("npu")).unwrap();
        let begun = Instant::now();
        let mut pace = Pace::start();
        (0..50).for_each(|_| npu.work(&mut pace, 2.0));
        assert!(begun.elapsed() >= Duration::from_millis(100));
        assert!(
            pace.due.duration_since(begun) < Duration::from_millis(400),
            "{:?}",
            pace.due - begun
        );
    }

    #[test]
    fn two_runs_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("npu");
        let barrier = Barrier::new(2);
        let run = || {
            let npu = Npu::open(1.0, &path).unwrap();
            let mut pace = Pace::start();
            barrier.wait();
            (0..20)
                .map(|_| {
                    npu.work(&mut pace, 5.0);
                    Instant::now()
                })
                .collect::<Vec<_>>()
        };
        let begun = Instant::now();
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(run);
            let second = run();
            (first.join().unwrap(), second)
        });
        assert!(
            begun.elapsed() >= Duration::from_millis(200),
            "never both at once: {:?}",
            begun.elapsed()
        );
        let behind = first.iter().filter(|at| **at < second[9]).count();
        assert!(
            (6..=14).contains(&behind),
            "half way through one, the other has done {behind} of 20 steps"
        );
    }

    #[test]
    fn at_speed_zero_no_time_passes_and_no_file_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let npu = Npu::open(0.0, &dir.path().join("npu")).unwrap();
        let begun = Instant::now();
        npu.work(&mut Pace::start(), 3_600_000.0);
        npu.pass(3_600_000.0);
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
