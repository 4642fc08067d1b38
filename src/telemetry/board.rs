//! Readings of the board from `/proc` and `/sys`. Every reading is optional: what the kernel does not show, or shows
//! to root only, is `None`, never an error.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

#[cfg(test)]
mod tests;

/// The NPU's devfreq device by chip, as the vendor's frequency scripts name it.
const NPU_DEVICES: [&str; 3] = ["fdab0000.npu", "27700000.npu", "22000000.npu"];

/// The files of one board.
#[derive(Debug, Clone)]
pub struct Board {
    root: PathBuf,
}

/// A device with a frequency that the kernel governs. Frequencies are in hertz.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// The directory of the device's files, as seen from the board.
    pub path: PathBuf,
    /// Who chooses the frequency, e.g. `performance`.
    pub governor: String,
    /// The frequency now.
    pub current: u64,
    /// The highest frequency on offer.
    pub highest: u64,
}

/// Main memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What a new process could get without swapping.
    pub available: u64,
}

impl Default for Board {
    fn default() -> Self {
        Self::new("/")
    }
}

impl Board {
    /// The board whose `/proc`, `/sys` and `/dev` lie below `root`; `/` is the one we run on.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where `path`, absolute on the board, lies for us.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What the board calls itself, most specific first, e.g. `radxa,rock-5b`, `rockchip,rk3588`.
    #[must_use]
    pub fn compatible(&self) -> Vec<String> {
        let Some(text) = self.read("/proc/device-tree/compatible") else {
            return Vec::new();
        };
        text.split('\0')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The Rockchip chip, e.g. `rk3588`.
    #[must_use]
    pub fn chip(&self) -> Option<String> {
        let names = self.compatible();
        names
            .iter()
            .rev()
            .find_map(|name| name.strip_prefix("rockchip,"))
            .map(str::to_owned)
    }

    /// The machine's name in the network.
    #[must_use]
    pub fn hostname(&self) -> Option<String> {
        self.read("/proc/sys/kernel/hostname")
            .filter(|name| !name.is_empty())
    }

    /// Main memory.
    #[must_use]
    pub fn memory(&self) -> Option<Memory> {
        let text = self.read("/proc/meminfo")?;
        let bytes = |key: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)
        };
        Some(Memory {
            total: bytes("MemTotal")?,
            available: bytes("MemAvailable")?,
        })
    }

    /// The NPU driver's version, e.g. `0.9.8`.
    #[must_use]
    pub fn npu_driver(&self) -> Option<String> {
        let text = self
            .read("/sys/module/rknpu/version")
            .or_else(|| self.read("/sys/kernel/debug/rknpu/version"))?;
        let version = text.split_whitespace().find(|word| {
            let digits = word.trim_start_matches('v');
            digits.contains('.') && digits.starts_with(|c: char| c.is_ascii_digit())
        })?;
        Some(version.trim_start_matches('v').to_owned())
    }

    /// The NPU's clock.
    #[must_use]
    pub fn npu_clock(&self) -> Option<Clock> {
        NPU_DEVICES.iter().find_map(|device| self.devfreq(device))
    }

    /// The memory controller's clock; decoding speed depends on it more than on any other.
    #[must_use]
    pub fn ddr_clock(&self) -> Option<Clock> {
        self.devfreq("dmc")
    }

    /// The clocks of the processor's clusters, in the kernel's order.
    #[must_use]
    pub fn cpu_clocks(&self) -> Vec<Clock> {
        let dir = "/sys/devices/system/cpu/cpufreq";
        let mut policies: Vec<PathBuf> = self
            .entries(dir)
            .filter(|name| name.starts_with("policy"))
            .map(Into::into)
            .collect();
        policies.sort();
        policies
            .iter()
            .filter_map(|policy| self.cpu_clock(Path::new(dir).join(policy)))
            .collect()
    }

    fn cpu_clock(&self, path: PathBuf) -> Option<Clock> {
        // cpufreq counts in kilohertz, devfreq in hertz.
        let hertz = |file: &str| self.number(path.join(file))?.checked_mul(1000);
        let governor = self.read(path.join("scaling_governor"))?;
        let (current, highest) = (hertz("scaling_cur_freq")?, hertz("cpuinfo_max_freq")?);
        Some(Clock {
            path,
            governor,
            current,
            highest,
        })
    }

    fn devfreq(&self, device: &str) -> Option<Clock> {
        let path = Path::new("/sys/class/devfreq").join(device);
        let governor = self.read(path.join("governor"))?;
        let current = self.number(path.join("cur_freq"))?;
        let offered = self
            .read(path.join("available_frequencies"))
            .unwrap_or_default();
        let highest = offered
            .split_whitespace()
            .filter_map(|freq| freq.parse().ok())
            .max();
        Some(Clock {
            path,
            governor,
            current,
            highest: highest.unwrap_or(current),
        })
    }

    /// The load of each NPU core in percent. Only root can read it, and only with debugfs mounted.
    #[must_use]
    pub fn npu_load(&self) -> Option<Vec<u8>> {
        let text = self.read("/sys/kernel/debug/rknpu/load")?;
        let loads: Vec<u8> = text
            .split(['%', ','])
            .filter_map(|part| part.rsplit([' ', ':']).next()?.parse().ok())
            .collect();
        (!loads.is_empty()).then_some(loads)
    }

    /// Thermal zones and their temperatures in degrees Celsius.
    #[must_use]
    pub fn temperatures(&self) -> Vec<(String, f64)> {
        let dir = Path::new("/sys/class/thermal");
        let mut zones: Vec<(String, f64)> = self
            .entries(dir)
            .filter(|name| name.starts_with("thermal_zone"))
            .filter_map(|name| {
                let zone = dir.join(name);
                let millidegrees: i32 = self.read(zone.join("temp"))?.parse().ok()?;
                Some((
                    self.read(zone.join("type"))?,
                    f64::from(millidegrees) / 1000.0,
                ))
            })
            .collect();
        // A scrape with the same labels twice would be refused as a whole.
        zones.sort_by(|a, b| a.0.cmp(&b.0));
        zones.dedup_by(|a, b| a.0 == b.0);
        zones
    }

    /// The text of a file without white space around it; a file that is not text or cannot be read is `None`.
    #[must_use]
    pub fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim().to_owned())
    }

    /// The names in a directory, in no order.
    pub fn entries<P: AsRef<Path>>(&self, dir: P) -> impl Iterator<Item = String> + use<P> {
        let entries = fs::read_dir(self.path(dir)).into_iter().flatten();
        entries.filter_map(|entry: io::Result<_>| entry.ok()?.file_name().into_string().ok())
    }

    fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.read(path)?.parse().ok()
    }
}

/// One scrape's readings; what cannot be read is left out.
impl Collector for Board {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Some(memory) = self.memory() {
            #[expect(clippy::cast_precision_loss, reason = "exact below 8 PiB")]
            let (total, available) = (memory.total as f64, memory.available as f64);
            gauge(
                &mut encoder,
                "rkgate_board_memory_total_bytes",
                "Main memory",
                total,
            )?;
            gauge(
                &mut encoder,
                "rkgate_board_memory_available_bytes",
                "Main memory to be had without swapping",
                available,
            )?;
        }
        for (name, help, clock) in [
            (
                "rkgate_board_npu_frequency_hertz",
                "The NPU's clock",
                self.npu_clock(),
            ),
            (
                "rkgate_board_ddr_frequency_hertz",
                "The memory controller's clock",
                self.ddr_clock(),
            ),
        ] {
            if let Some(clock) = clock {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "frequencies are far below 2^53 Hz"
                )]
                gauge(&mut encoder, name, help, clock.current as f64)?;
            }
        }
        let temperatures = self.temperatures();
        by_label(
            &mut encoder,
            "rkgate_board_temperature_celsius",
            "Temperature by thermal zone",
            "zone",
            temperatures,
        )?;
        let loads = self.npu_load().unwrap_or_default().into_iter().enumerate();
        let loads = loads
            .map(|(core, percent)| (core.to_string(), f64::from(percent) / 100.0))
            .collect();
        by_label(
            &mut encoder,
            "rkgate_board_npu_load_ratio",
            "Load by NPU core, 0 to 1",
            "core",
            loads,
        )
    }
}

fn by_label(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    label: &str,
    values: Vec<(String, f64)>,
) -> fmt::Result {
    if values.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (of, value) in values {
        let labels = [(label, of)];
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: f64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}
