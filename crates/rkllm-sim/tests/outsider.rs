//! A C program that knows only the header drives the three shared libraries.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use tempfile::TempDir;

const SIGSEGV: i32 = 11;

/// A generation: the header's `RKLLM_ABI`, the package of its library, its version.
#[derive(Clone, Copy)]
struct Generation {
    abi: &'static str,
    package: &'static str,
    version: &'static str,
}

const GENERATIONS: [Generation; 3] = [
    Generation {
        abi: "120",
        package: "rkllm-sim-so-1_2_0",
        version: "1.2.0",
    },
    Generation {
        abi: "121",
        package: "rkllm-sim-so-1_2_3",
        version: "1.2.3",
    },
    Generation {
        abi: "130",
        package: "rkllm-sim-so-1_3_0",
        version: "1.3.0",
    },
];

/// The shared libraries, in the order of [`GENERATIONS`].
fn libraries() -> &'static [PathBuf] {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--offline", "--message-format=json"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        GENERATIONS.iter().for_each(|generation| {
            cargo.args(["--package", generation.package]);
        });
        let built = successful(cargo);
        let messages = String::from_utf8(built.stdout).unwrap();
        let files: Vec<PathBuf> = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
            .filter_map(|file| file.as_str().map(PathBuf::from))
            .collect();
        let named = |generation: &Generation| {
            let name = format!("librkllmrt_{}.so", generation.version.replace('.', "_"));
            files
                .iter()
                .find(|file| file.ends_with(&name))
                .unwrap_or_else(|| panic!("no {name}"))
                .clone()
        };
        GENERATIONS.iter().map(named).collect()
    })
}

fn successful(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The C program of a generation, and the models to give it.
struct Outsider {
    dir: TempDir,
    generation: Generation,
    library: PathBuf,
}

impl Outsider {
    fn compile(index: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let generation = GENERATIONS[index];
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        compiler
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(root.join("include"))
            .arg(format!("-DRKLLM_ABI={}", generation.abi))
            .args(["outsider.c", "layout.c"].map(|file| root.join("tests/outsider").join(file)))
            .arg("-o")
            .arg(dir.path().join("outsider"))
            .args(["-ldl", "-lpthread"]);
        successful(compiler);
        rkllm_sim::shipped::install(dir.path()).unwrap();
        Self {
            dir,
            generation,
            library: libraries()[index].clone(),
        }
    }

    fn run(&self, scenario: &str) -> Output {
        self.run_with_fault(scenario, "")
    }

    fn run_with_fault(&self, scenario: &str, fault: &str) -> Output {
        let model = self
            .dir
            .path()
            .join("Qwen3-0.6B-rk3588-w8a8/Qwen3-0.6B-rk3588-w8a8.rkllm");
        let mut outsider = Command::new(self.dir.path().join("outsider"));
        outsider.arg(&self.library).arg(model).arg(scenario);
        outsider
            .env("RKLLM_SIM_SPEED", "0")
            .env("RKLLM_SIM_FAULT", fault)
            .env("RKLLM_SIM_NPU", self.dir.path().join("npu"));
        outsider.output().unwrap()
    }

    fn succeeds(&self, scenario: &str) -> String {
        let output = self.run(scenario);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success(),
            "{} {scenario}: {errors}",
            self.generation.version
        );
        errors
    }
}

fn drive(index: usize, scenarios: &[&str]) {
    let outsider = Outsider::compile(index);
    let banner = format!(
        "I rkllm: rkllm-runtime version: {}, rknpu driver version: 0.9.8, platform: RK3588",
        outsider.generation.version
    );
    let log = outsider.succeeds("chat");
    assert!(log.starts_with(&banner), "{log}");
    let log = outsider.succeeds("refuse");
    let missing = "E rkllm: failed to open '/nowhere/model.rkllm': 'No such file or directory'\n\
                   E rkllm: invalid rkllm model!\nE rkllm: rkllm_init failed\n";
    assert!(log.contains(missing), "{log}");
    assert!(
        log.contains("must be less than the model's max_context_limit["),
        "{log}"
    );
    for scenario in ["symbols", "abort"].iter().chain(scenarios) {
        outsider.succeeds(scenario);
    }
}

#[test]
fn runtime_1_2_0() {
    drive(0, &[]);
}

#[test]
fn runtime_1_2_3() {
    drive(1, &["pause"]);
}

#[test]
fn runtime_1_3_0() {
    drive(2, &["pause", "per_run"]);
}

#[test]
fn null_image_marks_crash_1_2_3() {
    let output = Outsider::compile(1).run("null_images");
    assert_eq!(output.status.signal(), Some(SIGSEGV));
}

#[test]
fn the_version_can_be_read_before_loading() {
    for (generation, library) in GENERATIONS.iter().zip(libraries()) {
        let bytes = std::fs::read(library).unwrap();
        let expected = format!(
            "RKLLM SDK (version: {} | target: Linux | ",
            generation.version
        );
        assert!(
            bytes
                .windows(expected.len())
                .any(|window| window == expected.as_bytes())
        );
    }
}

#[test]
fn crashes_on_demand_take_the_process_down() {
    let outsider = Outsider::compile(1);
    for fault in ["crash_load", "crash=3"] {
        let output = outsider.run_with_fault("chat", fault);
        assert_eq!(output.status.signal(), Some(SIGSEGV), "{fault}");
    }
}
