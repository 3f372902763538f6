"""A real city for tests: a process of its own in a temporary folder, on free ports, with the practice ``dimmer``."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from civium.city_folder import token
from civium.client import CityClient, running_url, trust

PRACTICES = Path(__file__).with_name("practices")
_START_S = 180.0  # on a machine with more work than processors
_STOP_S = 120.0


class CityProcess:
    """One city folder, and the process that runs it; ``client`` holds the operator's token."""

    client: CityClient

    def __init__(self, folder: Path, idle: bool, environment: dict[str, str]) -> None:
        self.folder = folder
        self.idle = idle
        self.url = ""
        self.mqtt = ("", 0)
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PRACTICES), os.environ.get("PYTHONPATH", "")])),
            "PYTHONFAULTHANDLER": "1",
            "CIVIUM_DOORS_HTTP": "127.0.0.1:0",
            "CIVIUM_DOORS_MQTT": "127.0.0.1:0",
            "CIVIUM_DOORS_WEBSOCKET": "127.0.0.1:0",
            **environment,
        }

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "CityProcess":
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "civium.cli", "up", "--city", str(self.folder), *["--idle"] * self.idle]
        with (self.folder / "said.txt").open("ab") as said:
            self._process = subprocess.Popen(command, env=self.environment, stdout=said, stderr=said)
        deadline = time.monotonic() + _START_S
        while not (url := self._own_url()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the city did not start: {(self.folder / 'said.txt').read_text()}")
            time.sleep(0.05)
        self.url = url
        headers = {"Authorization": f"Bearer {token(self.folder)}"}
        self.client = CityClient(httpx.Client(base_url=url, timeout=120.0, headers=headers, verify=trust(self.folder)))
        host, _, port = self.client.get("/api/status")["doors"]["mqtt"].rpartition(":")
        self.mqtt = (host, int(port))
        return self

    def _own_url(self) -> str | None:
        """The address, once the file that tells it is of this process and not of one that was killed."""
        try:
            told = json.loads((self.folder / "run" / "city.json").read_text())
        except (OSError, ValueError):
            return None
        return running_url(self.folder) if told["pid"] == self.pid else None

    def stop(self) -> None:
        """Ask it to stop, as Ctrl-C does, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9: nothing is put in order."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self.client.http.close()
        process, self._process = self._process, None
        process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # it says what each of its threads was at
            process.wait(_STOP_S)
            pytest.fail(f"the city did not stop: {(self.folder / 'said.txt').read_text()[-10_000:]}")

    def run(self, *arguments: str, timeout: float = 240.0) -> subprocess.CompletedProcess[str]:
        """Run ``civium ARGUMENTS --city FOLDER`` as a person would."""
        command = [sys.executable, "-m", "civium.cli", *arguments, "--city", str(self.folder)]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )


@pytest.fixture
def new_city(tmp_path: Path) -> Iterator[Callable[..., CityProcess]]:
    """``new_city(idle=True, CIVIUM_STORE_COMMIT_EVERY_S="5")``: a city of the test's own, started; ended afterwards."""
    cities: list[CityProcess] = []

    def make(*, idle: bool = False, **environment: str) -> CityProcess:
        cities.append(CityProcess(tmp_path / f"city{len(cities)}", idle, environment))
        return cities[-1].start()

    yield make
    for city in cities:
        city.stop()


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    """One idle city (no clock ticks) that the tests of a module share: what they put in must not collide."""
    shared = CityProcess(tmp_path_factory.mktemp("shared") / "city", True, {}).start()
    yield shared
    shared.stop()
