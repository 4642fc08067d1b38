"""The browser and its driver, for tests that look at pages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def find_chromium() -> str:
    """The browser; installs Debian's where there is none and this user may."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"no chromium found; install it, on Debian with: sudo {' '.join(install)}")
    subprocess.run(["apt-get", "update", "--quiet=2"], check=True)
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    return find_chromium()


def set_up_driver(directory: Path) -> None:
    """Installs what the lock file in `directory` names, where that has changed."""
    lock, installed = directory / "package-lock.json", directory / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(["npm", "ci", "--silent"], cwd=directory, check=True)
