#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use super::*;

fn board(files: &[(&str, &str)]) -> (tempfile::TempDir, Board) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let board = Board::new(root.path());
    (root, board)
}

fn rk3588() -> (tempfile::TempDir, Board) {
    board(&[
        (
            "proc/device-tree/compatible",
            "radxa,rock-5b\0rockchip,rk3588\0",
        ),
        (
            "proc/meminfo",
            "MemTotal:       16273312 kB\nMemFree:  1 kB\nMemAvailable:   12000000 kB\n",
        ),
        ("sys/module/rknpu/version", "RKNPU driver: v0.9.8\n"),
        (
            "sys/class/devfreq/fdab0000.npu/governor",
            "rknpu_ondemand\n",
        ),
        ("sys/class/devfreq/fdab0000.npu/cur_freq", "300000000\n"),
        (
            "sys/class/devfreq/fdab0000.npu/available_frequencies",
            "300000000 400000000 1000000000\n",
        ),
        ("sys/class/devfreq/dmc/governor", "dmc_ondemand\n"),
        ("sys/class/devfreq/dmc/cur_freq", "528000000\n"),
        (
            "sys/devices/system/cpu/cpufreq/policy4/scaling_governor",
            "schedutil\n",
        ),
        (
            "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq",
            "408000\n",
        ),
        (
            "sys/devices/system/cpu/cpufreq/policy4/cpuinfo_max_freq",
            "2352000\n",
        ),
        (
            "sys/kernel/debug/rknpu/load",
            "NPU load:  Core0: 42%, Core1:  0%, Core2: 100%,\n",
        ),
        ("sys/class/thermal/thermal_zone0/type", "soc-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "48500\n"),
        ("sys/class/thermal/thermal_zone6/type", "npu-thermal\n"),
        ("sys/class/thermal/thermal_zone6/temp", "47250\n"),
    ])
}

#[test]
fn an_rk3588_is_read() {
    let (_root, board) = rk3588();
    assert_eq!(board.chip().as_deref(), Some("rk3588"));
    assert_eq!(
        board.memory(),
        Some(Memory {
            total: 16_273_312 * 1024,
            available: 12_000_000 * 1024
        })
    );
    assert_eq!(board.npu_driver().as_deref(), Some("0.9.8"));
    let npu = board.npu_clock().unwrap();
    assert_eq!(
        (npu.governor.as_str(), npu.current, npu.highest),
        ("rknpu_ondemand", 300_000_000, 1_000_000_000)
    );
    let ddr = board.ddr_clock().unwrap();
    assert_eq!((ddr.current, ddr.highest), (528_000_000, 528_000_000));
    let cpus = board.cpu_clocks();
    assert_eq!(cpus.len(), 1);
    assert_eq!(
        (cpus[0].current, cpus[0].highest),
        (408_000_000, 2_352_000_000)
    );
    assert_eq!(board.npu_load(), Some(vec![42, 0, 100]));
    assert_eq!(
        board.temperatures(),
        [
            ("npu-thermal".to_owned(), 47.25),
            ("soc-thermal".to_owned(), 48.5)
        ]
    );
}

#[test]
fn a_machine_without_an_npu_has_no_readings() {
    let (_root, board) = board(&[]);
    assert_eq!(
        (board.chip(), board.memory(), board.npu_driver()),
        (None, None, None)
    );
    assert_eq!((board.npu_clock(), board.npu_load()), (None, None));
    assert!(board.cpu_clocks().is_empty() && board.temperatures().is_empty());
}

#[test]
fn nonsense_in_the_files_is_no_reading() {
    let (_root, board) = board(&[
        ("proc/device-tree/compatible", ""),
        (
            "proc/meminfo",
            "MemTotal: lots\nMemAvailable: 99999999999999999999 kB\n",
        ),
        (
            "sys/kernel/debug/rknpu/load",
            "NPU load: Core0: 999%, Core1: x%\n",
        ),
        ("sys/class/devfreq/dmc/governor", "x"),
        ("sys/class/devfreq/dmc/cur_freq", "-1"),
        ("sys/class/thermal/thermal_zone0/type", "soc-thermal"),
    ]);
    assert_eq!(
        (board.chip(), board.memory(), board.npu_load()),
        (None, None, None)
    );
    assert_eq!(board.ddr_clock(), None);
    assert!(board.temperatures().is_empty());
}

#[test]
fn metrics_carry_the_readings() {
    let (_root, board) = rk3588();
    let text = crate::telemetry::Metrics::new(board).encode().unwrap();
    for line in [
        "rkgate_board_npu_frequency_hertz 300000000.0",
        r#"rkgate_board_temperature_celsius{zone="npu-thermal"} 47.25"#,
        r#"rkgate_board_npu_load_ratio{core="0"} 0.42"#,
        "rkgate_board_memory_total_bytes 16663871488.0",
    ] {
        assert!(text.lines().any(|l| l == line), "missing {line} in\n{text}");
    }
}
