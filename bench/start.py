"""How long until it answers: `reserve --help`, the server ready, beside a bare Python and an empty FastAPI."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.common import about, city
from bench.http import EMPTY, _wait
from reserve import database

RUNS = 5


def main() -> None:
    about()
    python = _median([sys.executable, "-c", "pass"])
    for name, command in (
        ("reserve --help", [sys.executable, "-m", "api.cli", "--help"]),
        ("import fastapi, sqlmodel", [sys.executable, "-c", "import fastapi, sqlmodel"]),
        ("import api.app", [sys.executable, "-c", "import api.app"]),
    ):
        seconds = _median(command)
        print(f"  {name}: {seconds:.2f} s ({seconds / python:.0f} x python -c pass)")
    with tempfile.TemporaryDirectory() as folder:
        database.close(city(Path(folder) / "start.db"))
        (Path(folder) / "empty.py").write_text(EMPTY)
        ours = [_ready(folder, [sys.executable, "-m", "api.cli", "serve", "--port", "8433"], 8433) for _ in range(RUNS)]
        command = [sys.executable, "-m", "uvicorn", "empty:app", "--port", "8434", "--log-level", "error"]
        peer = [_ready(folder, command, 8434) for _ in range(RUNS)]
    a, b = statistics.median(ours), statistics.median(peer)
    print(f"  server ready: {a:.2f} s, an empty FastAPI {b:.2f} s = {a / b:.1f} x")


def _median(command: list[str]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _ready(folder: str, command: list[str], port: int) -> float:
    environment = os.environ | {
        "RESERVE_DATABASE_URL": f"sqlite:///{folder}/start.db",
        "PYTHONPATH": f"{Path(__file__).parents[1]}:{folder}",
    }
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/" if port == 8434 else f"http://127.0.0.1:{port}/healthz")
        return time.perf_counter() - start
    finally:
        process.kill()
        process.wait()
