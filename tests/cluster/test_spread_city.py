"""A city in several processes: nothing is lost or doubled when a node of the log, a writer and a turn are killed."""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from civium.client import CityClient
from civium.ledger.replay import check_chain
from tests.cluster.conftest import Process, SpreadCity
from tests.cluster.stand import NatsCluster, wait_for

LAMPS = 6


def register(client: CityClient) -> list[int]:
    """Lamp posts with a thermometer and a dimmer; the ids of the thermometers."""
    lines = [
        {
            "key": f"lamp/{i}", "kind": "lamp_post", "where": {"type": "Point", "coordinates": [24.94, 60.17]},
            "streams": [{"property": "air_temperature", "unit": "degC"}, {"property": "level", "unit": "%"}],
            "actuators": [{"key": f"lamp/{i}/dimmer", "facts": {"minimum": 0, "maximum": 100}}],
        }
        for i in range(LAMPS)
    ]  # fmt: skip
    told = client.post("/api/register", content="\n".join(map(json.dumps, lines)).encode())
    return [told["streams"][f"lamp/{i}/air_temperature"] for i in range(LAMPS)]


class Load(threading.Thread):
    """Posts single readings, each with a value of its own, to one door; remembers under what id each was accepted."""

    def __init__(self, door: Process, streams: list[int], numbers: "itertools.count[int]") -> None:
        super().__init__(daemon=True)
        self._door, self._streams, self._numbers = door, streams, numbers
        self.accepted: dict[int, int] = {}  # number -> id
        self.unsure: set[int] = set()  # the answer was lost: stored once or not at all
        self.refused: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._door.url, timeout=30) as http:
            while not self.over.is_set():
                number = next(self._numbers)
                stream = self._streams[number % len(self._streams)]
                body = {"result": number / 1000, "phenomenonTime": datetime.now(UTC).isoformat()}
                try:
                    answer = http.post(f"/v1.1/Datastreams({stream})/Observations", json=body)
                except httpx.TransportError:
                    self.unsure.add(number)
                    continue
                if answer.status_code == 201:
                    self.accepted[number] = int(answer.headers["location"].rpartition("(")[2].rstrip(")"))
                elif answer.status_code == 503:
                    assert "retry-after" in answer.headers
                    self.unsure.add(number)  # the log may have stored what it did not answer
                    time.sleep(0.2)
                else:
                    self.refused.append(answer.text)
                time.sleep(0.01)


def stored(client: CityClient, streams: list[int]) -> dict[int, list[int]]:
    """Number of each reading that is stored, and the ids under which it is."""
    found: dict[int, list[int]] = {}
    for stream in streams:
        path = f"/v1.1/Datastreams({stream})/Observations?$top=1000&$orderby=id&$select=id,result"
        while path:
            page = client.get(path)
            for row in page["value"]:
                found.setdefault(round(row["result"] * 1000), []).append(row["@iot.id"])
            path = page.get("@iot.nextLink", "").partition("/v1.1")[2]
            path = path and f"/v1.1{path}"
    return found


def doing(processes: list[Process], group: str, name: str) -> Process:
    """The process that does a piece of work now."""
    found: Process = wait_for(
        lambda: next((p for p in processes if name in p.does(group)), None), 120, f"nobody does {group} {name}"
    )  # type: ignore[assignment]  # wait_for gives whatever was true
    return found


@pytest.mark.timeout(1200)
def test_what_is_accepted_is_there_once_whoever_is_killed(
    new_spread_city: Callable[[], SpreadCity], nats: NatsCluster
) -> None:
    city = new_spread_city()
    doors, writers, turns = ([city.start(role) for _ in range(2)] for role in ("door", "writer", "turn"))
    web = city.start("web")
    city.settled(*doors, *writers, *turns, web)
    streams = register(city.client(doors[0]))
    numbers = itertools.count(1)
    loads = [Load(door, streams, numbers) for door in doors]
    for load in loads:
        load.start()
    client = city.client(web)

    def decided() -> int:
        return len(client.get("/api/decisions", practice="dimmer", limit=1000))

    def goes_on(seconds: float) -> None:
        """Decisions go on, after what was done to the city."""
        before, deadline = decided(), time.monotonic() + seconds
        while decided() <= before + 1:
            told = {"-".join(p.health().get("roles", [])): p.health() for p in city.processes if p.alive}
            assert time.monotonic() < deadline, f"no decision is made any more: {json.dumps(told, indent=1)}"
            time.sleep(0.5)

    client.post("/api/practices/dimmer/mandate", mandate="act", why="test")
    goes_on(240)  # the first ones: every worker has to start

    victim = doing(writers, "writer", "0")
    victim.end(signal.SIGKILL)
    (survivor,) = (w for w in writers if w is not victim)
    killed = time.monotonic()
    wait_for(lambda: sorted(survivor.does("writer")) == ["0", "1"], 120, "nobody took the shards over")
    assert time.monotonic() - killed < 15 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    goes_on(240)

    nats.kill_node(1)
    goes_on(240)
    nats.start_node(1)

    victim = doing(turns, "turn", "dimmer")
    victim.end(signal.SIGKILL)
    goes_on(240)

    for load in loads:
        load.over.set()
    for load in loads:
        load.join(60)
    assert [text for load in loads for text in load.refused] == []
    accepted = {number: identity for load in loads for number, identity in load.accepted.items()}
    unsure = {number for load in loads for number in load.unsure}
    assert len(accepted) > 200
    found = stored(client, streams)
    assert {n: ids for n, ids in found.items() if len(ids) != 1} == {}
    assert {n: found.get(n) for n, identity in accepted.items() if found.get(n) != [identity]} == {}
    assert found.keys() - accepted.keys() <= unsure
    assert len({identity >> 48 for identity in accepted.values()}) == 2  # both shards took part

    list(check_chain(client.ledger()))
    entries = [json.loads(raw) for _, raw in client.ledger()]
    turns_told = [e["id"] for e in entries if e["type"] == "turn"]
    assert len(turns_told) == len(set(turns_told))
    replay = city.run("replay", "--practice", "dimmer")
    assert replay.returncode == 0, replay.stdout + replay.stderr
    for process in (survivor, web, *doors, *(t for t in turns if t is not victim)):
        process.end()
