"""A child process: its output in a file, waited for until it answers, ended by its own process id."""

import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path


class StartError(Exception):
    """A program ended or stayed silent before it was ready; the message holds the end of its output."""


class Process:
    """A running program. As a context manager it is ended on leaving."""

    def __init__(self, command: Sequence[str | Path], *, log: Path, env: Mapping[str, str], cwd: Path):
        self.name = Path(command[0]).name
        self.log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(env), cwd=cwd
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def wait_until_answers(self, url: str, *, seconds: float) -> None:
        """Waits until a GET of `url` is answered with a status below 400."""

        def answers() -> bool:
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return True
            except (urllib.error.URLError, OSError):
                return False

        self._wait_until(answers, f"answer {url}", seconds)

    def wait_for_line(self, start: str, *, seconds: float) -> str:
        """Waits for a line of output that begins so; returns the rest of it."""

        def rest() -> str | None:
            # The last piece is a line that is still being written, or empty.
            lines = self.log.read_text(errors="replace").split("\n")[:-1]
            return next((line.removeprefix(start) for line in lines if line.startswith(start)), None)

        return self._wait_until(rest, f"print {start!r}", seconds)

    def _wait_until(self, probe, what: str, seconds: float):
        """Calls `probe` until it returns something that is true, and returns that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := probe():
                return found
            if self._child.poll() is not None:
                raise StartError(f"{self.name} ended with status {self._child.returncode}\n{self._log_end()}")
            time.sleep(0.05)
        raise StartError(f"{self.name} did not {what} within {seconds:.0f} s\n{self._log_end()}")

    def stop(self, *, seconds: float = 15) -> int:
        """Asks the program to end, and kills it when it has not ended in time. Returns its exit status."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                self._child.kill()
        return self._child.wait()

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])
