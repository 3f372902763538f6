"""A city of a benchmark's own: started as a user would, on free ports, fed and read through its doors."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from registry import WrongAnswer, require

from civium.city_folder import token
from civium.client import running_url
from civium.engines.log import Log
from civium.engines.settings import load

_START_S = 120.0
_THINGS_A_REQUEST = 4_000

FREE = {"CIVIUM_DOORS_MQTT": "127.0.0.1:0", "CIVIUM_DOORS_WEBSOCKET": "127.0.0.1:0"}  # any free port


@dataclass(frozen=True, slots=True)
class Running:
    """A running city: its process, its interface and its MQTT door."""

    process: psutil.Process
    http: httpx.Client
    mqtt: tuple[str, int]

    def get(self, path: str, **params: Any) -> Any:
        """JSON of a GET."""
        return told(self.http.get(path, params=params)).json()

    def post(self, path: str, content: bytes | str, **params: Any) -> httpx.Response:
        """Answer of a POST; raises WrongAnswer when it is refused."""
        return told(self.http.post(path, content=content, params=params))

    def register(self, lines: Iterator[dict[str, Any]]) -> None:
        """Register things in parts, so that no body is too large."""
        part: list[str] = []
        for thing in lines:
            part.append(json.dumps(thing))
            if len(part) == _THINGS_A_REQUEST:
                self.post("/api/register", "\n".join(part), ids="false")
                part = []
        if part:
            self.post("/api/register", "\n".join(part), ids="false")

    def memory(self) -> int:
        """Resident memory of the serving process [byte]."""
        return int(self.process.memory_info().rss)

    def cpu(self) -> float:
        """Processor time of the serving process [s]."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def told(answer: httpx.Response) -> httpx.Response:
    """The answer, if it is a success."""
    if not answer.is_success:
        raise WrongAnswer(
            f"{answer.request.method} {answer.request.url} was answered {answer.status_code}: {answer.text[:300]}"
        )
    return answer


@contextmanager
def running(folder: Path, *arguments: str, **settings: str) -> Iterator[Running]:
    """Run the city of ``folder`` in a process of its own; ``settings`` are environment variables without CIVIUM_."""
    environment = {
        **os.environ,
        "CIVIUM_DOORS_HTTP": "127.0.0.1:0",
        "CIVIUM_DOORS_MQTT": "127.0.0.1:0",
        "CIVIUM_DOORS_WEBSOCKET": "127.0.0.1:0",
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(Path(__file__).parent / "practices"), os.environ.get("PYTHONPATH", "")])
        ),
        **{f"CIVIUM_{name}": value for name, value in settings.items()},
    }
    said = folder.with_suffix(".said")
    with said.open("wb") as out:
        command = [sys.executable, "-m", "civium.cli", "up", "--city", str(folder), *arguments]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + _START_S
        while (url := running_url(folder)) is None:
            if process.poll() is not None:
                raise WrongAnswer(f"the city did not start: {said.read_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise WrongAnswer(f"the city did not start within {_START_S:g} s")
            time.sleep(0.02)
        headers = {"Authorization": f"Bearer {token(folder)}"}
        with httpx.Client(base_url=url, timeout=600.0, headers=headers) as http:
            host, _, port = told(http.get("/api/status")).json()["doors"]["mqtt"].rpartition(":")
            yield Running(psutil.Process(process.pid), http, (host, int(port)))
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def move_log(folder: Path, sequence: int) -> None:
    """Let the log of a city that does not run stand where its store ends."""
    log = await Log.open(load(folder, FREE), folder)
    try:
        await log.purge_before("OBS0", sequence + 1)
        require(await log.refresh("OBS0") == sequence, "the log did not move")
    finally:
        await log.close()
