"""Towns made ready once, and a stand-in for the platform: the doors that the devices speak to, and nothing behind."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from civium.core import from_datetime
from civium.core.extras import require
from civium.sandbox.demand import Demand
from civium.sandbox.junction import Junction, read_junctions
from civium.sandbox.places import Places, read_places
from civium.sandbox.streets import Streets, build_net, read_streets
from civium.sandbox.town import Town, prepare
from civium.twin.model import locate_example

WEDNESDAY = date(2026, 6, 10)
SATURDAY = date(2026, 6, 13)


@dataclass(frozen=True)
class Ground:
    """A town's streets and places."""

    streets: Streets
    places: Places

    def demand(self, seed: int = 1, day: date = WEDNESDAY, scale: float = 0.1) -> Demand:
        return Demand(self.streets, self.places, seed, day, scale)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder shared by all tests, so that nets are built and calibrated once."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="session")
def ground(work: Path) -> Callable[[str], Ground]:
    """Streets and places of one of the example towns."""

    def make(name: str) -> Ground:
        streets = read_streets(build_net(locate_example(name), work))
        return Ground(streets, read_places(locate_example(name), streets))

    return make


@pytest.fixture(scope="session")
def town(work: Path) -> Callable[[str], Town]:
    """One of the example towns, ready to run."""
    return lambda name, seed=1: prepare(locate_example(name), work, seed, WEDNESDAY)


@dataclass
class Platform:
    """The doors on a free port; ``down`` and ``busy`` make it fail as a platform does that is away or starting."""

    down: bool = False
    busy: bool = False
    ids: dict[str, int] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)  # path, idempotency key, body
    on_tick: Callable[[datetime], None] = lambda _: None
    server: asyncio.Server | None = None

    async def start(self) -> str:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return "http://{}:{}".format(*self.server.sockets[0].getsockname())

    async def stop(self) -> None:
        if self.server:
            self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *rest = head.strip().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if self.down:
                    break
                status, content = self._answer(first.split()[1], headers.get("idempotency-key", ""), body)
                answer = json.dumps(content).encode()
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(answer)}\r\n\r\n".encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str, key: str, body: bytes) -> tuple[int, Any]:
        if self.busy:
            return 503, {"message": "starting"}
        if path == "/api/register":
            return 200, self._register(body)
        if path == "/clock":
            time = datetime.fromisoformat(json.loads(body)["time"])
            if self.times and time <= self.times[-1]:
                return 409, {"message": f"the clock stands at {self.times[-1]}"}
            self.times.append(time)
            self.on_tick(time)
            return 200, {"time": time.isoformat()}
        self.requests.append((path, key, body))
        return 201, []

    def _register(self, body: bytes) -> dict[str, Any]:
        self.lines = [json.loads(line) for line in body.splitlines()]
        answer: dict[str, Any] = {"things": {}, "streams": {}, "actuators": {}, "created": len(self.lines)}
        for line in self.lines:
            for noun, entries in (("things", [line]), ("streams", line["streams"]),
                                  ("actuators", line.get("actuators", []))):  # fmt: skip
                for entry in entries:
                    key = f"{noun}:{entry['key']}"
                    answer[noun][entry["key"]] = self.ids.setdefault(key, len(self.ids) + 1)
        return answer


def hours(count: float) -> int:
    """Instant [us] so many hours after the midnight of the Wednesday in UTC."""
    return from_datetime(datetime.combine(WEDNESDAY, time(), UTC)) + round(count * 3.6e9)


@pytest.fixture(scope="session")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Junction:
    """A four-armed junction with protected left turns and crossings for walkers."""
    net = tmp_path_factory.mktemp("head") / "made.net.xml"
    options = ["--grid", "--grid.number", "3", "-L", "2", "--turn-lanes", "1", "--sidewalks.guess", "--crossings.guess"]
    program = Path(require("sumo", "mobility").SUMO_HOME, "bin", "netgenerate")
    command = [str(program), *options, "--tls.set", "B1", "-o", str(net)]
    subprocess.run(command, check=True, capture_output=True, env={"SUMO_HOME": require("sumo", "mobility").SUMO_HOME})
    junction = next(j for j in read_junctions(net) if j.id == "B1")
    assert any(junction.pedestrian)
    assert len(junction.stages) == 4
    return junction
