//! The board: chip, memory, NPU driver and clocks.

use super::{Finding, runtime::Runtime};
use crate::telemetry::board::{Board, Clock};

/// Chips that librkllmrt runs on.
const CHIPS: [&str; 5] = ["rk3588", "rk3588s", "rk3576", "rk3562", "rv1126b"];
/// The driver that the vendor advises; older ones have hung or crashed under long answers.
const DRIVER: [u32; 3] = [0, 9, 8];

pub(super) fn chip(board: &Board, runtime: &Runtime) -> Finding {
    let name = board.compatible().first().cloned().unwrap_or_default();
    match board.chip() {
        Some(chip) if CHIPS.contains(&chip.as_str()) => {
            Finding::ok("board", format!("{chip} ({name})"))
        }
        Some(chip) => Finding::fail(
            "board",
            format!("the {chip} has no NPU that RKLLM knows"),
            "use an RK3588 or RK3576, an upstream, or the simulator: engine.library = \"sim\"",
        ),
        None if runtime.is_real() => Finding::fail(
            "board",
            "no Rockchip board, but engine.library names its runtime",
            "engine.library = \"sim\", or run rkgate on the board",
        ),
        None => Finding::ok("board", "no Rockchip board: the simulator answers"),
    }
}

pub(super) fn memory(board: &Board) -> Finding {
    let gib = |bytes: u64| format!("{}.{} GiB", bytes >> 30, ((bytes >> 20) % 1024) * 10 / 1024);
    match board.memory() {
        Some(memory) if memory.available < 1 << 30 => Finding::warn(
            "memory",
            format!(
                "only {} of {} available: no model may fit",
                gib(memory.available),
                gib(memory.total)
            ),
            "end other programs: ps aux --sort=-rss | head",
        ),
        Some(memory) => Finding::ok(
            "memory",
            format!(
                "{} of {} available",
                gib(memory.available),
                gib(memory.total)
            ),
        ),
        None => Finding::warn(
            "memory",
            "/proc/meminfo cannot be read",
            "mount -t proc proc /proc",
        ),
    }
}

pub(super) fn driver(board: &Board) -> Finding {
    let advised = DRIVER.map(|number| number.to_string()).join(".");
    match board.npu_driver() {
        None => Finding::warn(
            "npu",
            "the NPU driver's version cannot be read",
            "cat /sys/kernel/debug/rknpu/version as root; where it is missing, the kernel has no rknpu driver: use the vendor's kernel",
        ),
        Some(version) => {
            let numbers: Vec<u32> = version
                .split('.')
                .map_while(|number| number.parse().ok())
                .collect();
            if numbers.as_slice() < DRIVER.as_slice() {
                let fix = format!("update the kernel to one with rknpu {advised} or later");
                Finding::warn(
                    "npu",
                    format!("driver {version} is older than {advised}"),
                    fix,
                )
            } else {
                Finding::ok("npu", format!("driver {version}"))
            }
        }
    }
}

/// The clocks that decide the speed. Decoding waits for memory, so that DDR comes first.
pub(super) fn clocks(board: &Board) -> Vec<Finding> {
    let ddr = board
        .ddr_clock()
        .map(|clock| clock_finding("ddr", &clock, "governor"));
    let npu = board
        .npu_clock()
        .map(|clock| clock_finding("npu", &clock, "governor"));
    let cpus = board.cpu_clocks();
    let cpus = cpus
        .iter()
        .map(|clock| clock_finding("cpu", clock, "scaling_governor"));
    ddr.into_iter().chain(npu).chain(cpus).collect()
}

fn clock_finding(about: &'static str, clock: &Clock, file: &str) -> Finding {
    let (now, highest) = (clock.current / 1_000_000, clock.highest / 1_000_000);
    let name = clock.path.file_name().unwrap_or_default().to_string_lossy();
    let state = format!(
        "{name}: governor {}, {now} of {highest} MHz",
        clock.governor
    );
    let fast = clock.governor == "performance" || clock.current >= clock.highest;
    if fast {
        Finding::ok(about, state)
    } else {
        let fix = format!(
            "echo performance | sudo tee {}",
            clock.path.join(file).display()
        );
        Finding::warn(about, state, fix)
    }
}
