"""A city in several processes on real servers, for the tests of this folder."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from civium.city_folder import token
from civium.client import CityClient
from tests.cluster.stand import NatsCluster, ObjectStore, Postgres, wait_for

PRACTICES = Path(__file__).parents[1] / "city" / "practices"
GUIDE = Path(__file__).parents[2] / "docs" / "cluster.md"
_START_S = 240.0


class Process:
    """One process of the city."""

    def __init__(self, city: "SpreadCity", roles: tuple[str, ...], number: int) -> None:
        self._said = city.folder.parent / f"{'-'.join(roles)}-{number}.txt"
        command = [sys.executable, "-m", "civium.cli", "up", "--city", str(city.folder)]
        command += [part for role in roles for part in ("--role", role)]
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(command, env=city.environment, stdout=said, stderr=said)

    @property
    def url(self) -> str:
        """Where it answers; fails when it has ended."""
        assert self._process.poll() is None, f"a process of the city ended: {self._said.read_text()[-3000:]}"
        found = re.findall(r"http://[\d.:]+", self._said.read_text())
        return str(found[-1]) if found else ""

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def health(self) -> dict[str, dict[str, list[str]]]:
        """What it does and what troubles it; {} while it does not answer."""
        try:
            answer: dict[str, dict[str, list[str]]] = httpx.get(f"{self.url}/health", timeout=10).json()
        except httpx.HTTPError:
            return {}
        return answer

    def does(self, group: str) -> list[str]:
        return self.health().get("work", {}).get(group, [])

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(how)
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            pytest.fail(f"a process did not end: {self._said.read_text()[-3000:]}")


class SpreadCity:
    """The folder of a node and the processes that run from it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.processes: list[Process] = []
        paths = [str(PRACTICES), os.environ.get("PYTHONPATH", "")]
        self.environment = {
            **os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "CIVIUM_DOORS_HTTP": "127.0.0.1:0", "CIVIUM_RIGHTS_ANONYMOUS": "write",
        }  # fmt: skip

    def start(self, *roles: str) -> Process:
        process = Process(self, roles, len(self.processes))
        self.processes.append(process)
        return process

    def client(self, process: Process) -> CityClient:
        """A client with the operator's token."""
        headers = {"Authorization": f"Bearer {token(self.folder)}"}
        return CityClient(httpx.Client(base_url=process.url, timeout=120.0, headers=headers))

    def settled(self, *processes: Process) -> None:
        """Wait until processes answer and nothing troubles them."""
        for process in processes:
            wait_for(
                lambda process=process: process.url and process.health().get("troubles") == {},
                _START_S, "a process of the city does not come to rest",
            )  # fmt: skip

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``civium ARGUMENTS --city FOLDER`` as a person would."""
        command = [sys.executable, "-m", "civium.cli", *arguments, "--city", str(self.folder)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    servers = NatsCluster(tmp_path_factory.mktemp("nats")).start()
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectStore]:
    store = ObjectStore().start()
    store.create("city")
    yield store
    store.stop()


@pytest.fixture(scope="module")
def new_spread_city(
    nats: NatsCluster, postgres: Postgres, objects: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], SpreadCity]]:
    """``new_spread_city()``: a city whose engines are shared, with no process yet."""
    cities: list[SpreadCity] = []

    def make() -> SpreadCity:
        folder = tmp_path_factory.mktemp("spread") / "city"
        folder.mkdir()
        text = (GUIDE.read_text().split("```toml\n", 1)[1]).split("```", 1)[0]  # the first of the guide
        here = {
            "nats://civium:CHANGE-ME@node1:4222,node2:4222,node3:4222": nats.url,
            "//civium@postgres:5432/lake": postgres.create(f"lake_{uuid4().hex}"),
            "node1:1883": f"127.0.0.1:{nats.mqtt[0]}",
            "shards = 4": "shards = 2",
        }
        for there, ours in here.items():
            assert there in text
            text = text.replace(there, ours)
        (folder / "civium.toml").write_text(text)
        cities.append(SpreadCity(folder, objects.environment))
        return cities[-1]

    yield make
    for city in cities:
        for process in city.processes:
            if process.alive:
                process.end(signal.SIGKILL)
