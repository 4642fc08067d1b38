"""rkgate on the simulated board, on ports of its own."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import Process

ROOT = Path(__file__).resolve().parents[2]


def build() -> Path:
    """Builds the debug binary and returns its path."""
    subprocess.run(["cargo", "build", "--quiet", "--bin", "rkgate"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "rkgate"


@dataclass
class Gateway:
    """A running rkgate."""

    process: Process
    api: str
    """Base URL for OpenAI clients."""
    admin: str
    """Base URL of the admin port."""

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *_) -> None:
        self.process.stop()


def start(binary: Path, directory: Path, *, speed: float, config: str = "") -> Gateway:
    """Starts rkgate in `directory` (created if need be) and returns when it is ready.

    `speed` is the simulator's: 1 takes as long as the board would, 0 never sleeps.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "rkgate.toml"
    # Port 0: the system chooses, and rkgate says what it got.
    file.write_text(
        f'[listen]\napi = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n\n[engine]\nlibrary = "sim"\n\n{config}'
    )
    # Settings of the person who runs the tests must not reach the gateway under test.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("RKGATE_", "RKLLM_"))}
    env |= {"RKLLM_SIM_SPEED": str(speed), "RKLLM_SIM_NPU": str(directory / "npu.lock")}
    process = Process(
        [binary, "serve", "--config", file], log=directory / "rkgate.log", env=env, cwd=directory
    )
    try:
        api, admin = (
            process.wait_for_line(f"rkgate: {name} listening on ", seconds=30) for name in ("api", "admin")
        )
        process.wait_until_answers(f"{admin}/readyz", seconds=30)
    except BaseException:
        process.stop()
        raise
    return Gateway(process, f"{api}/v1", admin)
