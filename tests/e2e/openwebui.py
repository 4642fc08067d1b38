"""Open WebUI from PyPI without its machine-learning stack, which a chat through a gateway never needs."""

import email.parser
import os
import re
import socket
import subprocess
import venv
import zipfile
from pathlib import Path

from harness.process import Process

VERSION = "0.12.4"

# The only requirements that bring torch; Open WebUI imports all of these where they are used, not at start.
LEFT_OUT = {
    "accelerate",
    "einops",
    "faster-whisper",
    "opencv-python-headless",
    "opensearch-py",
    "rapidocr",
    "sentence-transformers",
    "transformers",
}


def install(cache: Path) -> Path:
    """Installs Open WebUI below `cache` unless it is there already; returns its program."""
    home = cache / f"open-webui-{VERSION}"
    program, done = home / "bin" / "open-webui", home / "complete"
    if done.exists():
        return program
    print(f"setting up Open WebUI {VERSION} in {home}: about 1.3 GB, some minutes", flush=True)
    venv.create(home, clear=True, with_pip=True)
    pip = [home / "bin" / "python", "-m", "pip", "--quiet"]
    wheels = home / "wheels"
    subprocess.run([*pip, "download", "--no-deps", f"--dest={wheels}", f"open-webui=={VERSION}"], check=True)
    (wheel,) = wheels.glob("open_webui-*.whl")
    needed = home / "requirements.txt"
    needed.write_text("\n".join(requirements(wheel)) + "\n")
    subprocess.run([*pip, "install", "--requirement", needed], check=True)
    subprocess.run([*pip, "install", "--no-deps", wheel], check=True)
    wheel.unlink()
    wheels.rmdir()
    done.touch()
    return program


def requirements(wheel: Path) -> list[str]:
    """What the wheel requires, less the extras and what is left out."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.parser.BytesParser().parsebytes(archive.read(name))
    needed = []
    for requirement in metadata.get_all("Requires-Dist", []):
        project = re.match(r"[\w.-]+", requirement).group().lower()
        if "extra ==" not in requirement and project not in LEFT_OUT:
            needed.append(requirement)
    return needed


def start(program: Path, directory: Path, *, gateway: str) -> tuple[Process, str]:
    """Starts Open WebUI with an empty database and `gateway` as its one connection; returns it with its URL."""
    directory.mkdir(parents=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = os.environ | {
        "DATA_DIR": str(directory),
        "WEBUI_SECRET_KEY": "only-for-this-run",
        "CORS_ALLOW_ORIGIN": url,
        "OPENAI_API_BASE_URLS": gateway,
        "OPENAI_API_KEYS": "none",
        "ENABLE_OLLAMA_API": "False",
        # Embeddings from the same server: the local engine would load the stack that is not there.
        "RAG_EMBEDDING_ENGINE": "openai",
        "RAG_OPENAI_API_BASE_URL": gateway,
        "RAG_OPENAI_API_KEY": "none",
        "OFFLINE_MODE": "True",
        "HF_HUB_OFFLINE": "1",
        "ENABLE_VERSION_UPDATE_CHECK": "False",
        "ANONYMIZED_TELEMETRY": "False",
        "DO_NOT_TRACK": "True",
        "SCARF_NO_ANALYTICS": "True",
        "NO_PROXY": "127.0.0.1",
    }
    command = [program, "serve", "--host", "127.0.0.1", "--port", str(port)]
    process = Process(command, log=directory / "open-webui.log", env=env, cwd=directory)
    try:
        # The first start creates the database.
        process.wait_until_answers(f"{url}/health", seconds=180)
    except BaseException:
        process.stop()
        raise
    return process, url


def free_port() -> int:
    """A loopback port that nobody listens on; Open WebUI cannot say which one it got."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
