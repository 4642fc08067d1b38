"""rkgate on the simulated board, on ports of its own."""

import os
import socket
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


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(binary: Path, directory: Path, *, speed: float, config: str = "") -> Gateway:
    """Starts rkgate in `directory` (created if need be) and returns when it is ready.

    `speed` is the simulator's: 1 takes as long as the board would, 0 never sleeps.
    """
    directory.mkdir(parents=True, exist_ok=True)
    api, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
    file = directory / "rkgate.toml"
    file.write_text(f'[listen]\napi = "{api}"\nadmin = "{admin}"\n\n[engine]\nlibrary = "sim"\n\n{config}')
    # Settings of the person who runs the tests must not reach the gateway under test.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("RKGATE_", "RKLLM_"))}
    env["RKLLM_SIM_SPEED"] = str(speed)
    process = Process(
        [binary, "serve", "--config", file], log=directory / "rkgate.log", env=env, cwd=directory
    )
    try:
        process.wait_until_answers(f"http://{admin}/readyz", seconds=30)
    except BaseException:
        process.stop()
        raise
    return Gateway(process, f"http://{api}/v1", f"http://{admin}")
