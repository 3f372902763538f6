"""An edge goes on while the centre is away; what it kept is fetched once, in order, when the centre is back."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest
from nats import connect
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from civium.client import CityClient
from tests.cluster.conftest import SpreadCity
from tests.cluster.stand import PASSWORD, USER, NatsCluster, free_ports, wait_for
from tests.cluster.test_spread_city import register

_ALL = ("door", "writer", "turn", "web")
_EACH = 400  # readings of a stream while the centre is away


class EdgeProcess:
    """``civium edge`` in a folder of its own."""

    def __init__(self, folder: Path, centre: list[str]) -> None:
        self.folder = folder
        self.mqtt, websocket = free_ports(2)
        folder.mkdir()
        (folder / "civium.toml").write_text(f"""
[edge]
name = "harbour"
centre = {json.dumps(centre)}
[doors]
mqtt = "127.0.0.1:{self.mqtt}"
websocket = "127.0.0.1:{websocket}"
""")
        self.start()

    def start(self) -> None:
        self._said = (self.folder / "said.txt").open("ab")
        command = [sys.executable, "-m", "civium.cli", "edge", str(self.folder)]
        self._process = subprocess.Popen(command, stdout=self._said, stderr=self._said, env=os.environ)
        wait_for(lambda: "devices connect" in self.said(), 180, f"the edge does not start: {self.said()}")

    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        (self.folder / "said.txt").write_text("")

    def publish(self, readings: list[tuple[int, int]]) -> None:
        """Stream and number of each reading, with QoS 1, in this order; returns when all are acknowledged."""

        async def run() -> None:
            async with aiomqtt.Client("127.0.0.1", self.mqtt, identifier="gateway", timeout=60) as client:
                client.pending_calls_threshold = len(readings) + 1
                for stream, number in readings:
                    body = json.dumps({"result": number / 1000})
                    await client.publish(f"v1.1/Datastreams({stream})/Observations", body, qos=1)

        asyncio.run(run())

    async def connect(self) -> Client:
        """As whoever has taken the edge over: with all rights at its server."""
        config = (self.folder / "edge" / "nats.conf").read_text()
        port = re.findall(r'listen: "127.0.0.1:(\d+)"', config)[0]
        password = re.findall(r'password: "(\w+)"', config)[0]
        return await connect(f"nats://127.0.0.1:{port}", user="civium", password=password)


@pytest.fixture
def edge(nats: NatsCluster, tmp_path: Path) -> Iterator[EdgeProcess]:
    process = EdgeProcess(tmp_path / "harbour", nats.leaves)
    yield process
    process.kill()


def in_order_of_storage(client: CityClient, streams: list[int]) -> dict[int, list[int]]:
    """The numbers of the readings of each stream, in the order in which they were taken in."""
    found: dict[int, list[int]] = {}
    for stream in streams:
        path = f"/v1.1/Datastreams({stream})/Observations?$top=1000&$orderby=id&$select=id,result"
        found[stream] = [round(row["result"] * 1000) for row in client.get(path)["value"]]
    return found


def test_who_has_an_edge_can_neither_read_nor_write_what_is_the_citys(nats: NatsCluster, edge: EdgeProcess) -> None:
    subjects = ("civium.cat.0", "civium-says.x", "$KV.a.b", "$MQTT.msgs.x", "_INBOX.other.1", "$JS.island.API.INFO")

    async def listen(client: Client) -> set[tuple[str, bytes]]:
        heard: set[tuple[str, bytes]] = set()

        async def hear(message: Msg) -> None:
            heard.add((message.subject, message.data))

        for subject in subjects:
            await client.subscribe(f"{subject.rpartition('.')[0]}.>", cb=hear)
        return heard

    async def run() -> None:
        servers = [f"nats://127.0.0.1:{port}" for port in nats.ports]
        city, taken = await connect(servers, user=USER, password=PASSWORD), await edge.connect()
        in_city, at_edge = await listen(city), await listen(taken)
        while True:  # until the edge has found its way to the centre
            with suppress(NoRespondersError, TimeoutError):
                if b"created" in (await city.request("$JS.harbour.API.STREAM.INFO.$MQTT_msgs", timeout=2)).data:
                    break
            await asyncio.sleep(0.5)
        for client, word in ((city, b"of the city"), (taken, b"of the edge")):
            for subject in subjects:
                await client.publish(subject, word)
            await client.flush()
        said = {(subject, word) for subject in subjects for word in (b"of the city", b"of the edge")}
        # It may answer: the names of inboxes are secrets that it cannot hear.
        for_city = {one for one in said if one[1] == b"of the city"} | {("_INBOX.other.1", b"of the edge")}
        for_edge = {one for one in said if one[1] == b"of the edge"}
        while not (in_city >= for_city and at_edge >= for_edge):
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)  # and nothing else
        assert in_city & said == for_city
        assert at_edge & said == for_edge
        await city.close()
        await taken.close()

    asyncio.run(asyncio.wait_for(run(), 240))


@pytest.mark.timeout(900)
def test_what_an_edge_kept_while_the_centre_was_away_is_fetched_once_and_in_order(
    new_spread_city: Callable[[], SpreadCity], nats: NatsCluster, edge: EdgeProcess
) -> None:
    city = new_spread_city()
    city.environment["CIVIUM_LOG_EDGES"] = "harbour,island"  # nobody has ever seen the island
    process = city.start(*_ALL)
    city.settled(process)
    streams = register(city.client(process))
    sent: dict[int, list[int]] = {stream: [0] for stream in streams}
    edge.publish([(stream, 0) for stream in streams])
    wait_for(lambda: in_order_of_storage(city.client(process), streams) == sent, 180, "the edge is not heard")
    told = city.client(process).get("/api/status")
    assert told["edges"]["harbour"] == ""
    assert told["edges"]["island"]
    assert told["troubles"] == {}

    process.end()
    for node in range(3):
        nats.kill_node(node)
    later = [(stream, number) for number in range(1, _EACH + 1) for stream in streams]
    half = len(later) // 2
    edge.publish(later[:half])
    edge.kill()
    edge.start()
    edge.publish(later[half:])
    edge.publish([(10**9, 1)])  # nobody's stream
    for stream, number in later:
        sent[stream].append(number)

    back = datetime.now(UTC).isoformat()
    nats.start()
    process = city.start(*_ALL)
    city.settled(process)
    wait_for(
        lambda: all(len(numbers) > _EACH for numbers in in_order_of_storage(city.client(process), streams).values()),
        180, "the centre does not catch up",
    )  # fmt: skip
    wait_for(lambda: city.client(process).get("/api/status")["dead_letters"], 120, "the wrong one is not kept")
    assert in_order_of_storage(city.client(process), streams) == sent
    (first,) = city.client(process).get(f"/v1.1/Datastreams({streams[0]})/Observations?$top=1&$orderby=id desc")[
        "value"
    ]
    assert first["phenomenonTime"] < back, "a reading without a time is not of the time when it was sent"


def test_a_task_is_heard_at_the_edge(nats: NatsCluster, edge: EdgeProcess) -> None:
    async def run() -> bytes:
        city = await connect([f"nats://127.0.0.1:{port}" for port in nats.ports], user=USER, password=PASSWORD)
        async with aiomqtt.Client("127.0.0.1", edge.mqtt, identifier="gate", timeout=60) as device:
            await device.subscribe("v1.1/TaskingCapabilities(7)/Tasks", qos=1)

            async def ask() -> None:
                while True:  # until the edge has found its way to the centre, and says who listens there
                    await city.publish("civium-out.TaskingCapabilities(7).Tasks", b"open")
                    await asyncio.sleep(0.5)

            asking = asyncio.create_task(ask())
            async with asyncio.timeout(60):
                message = await anext(device.messages)
            asking.cancel()
        await city.close()
        return bytes(message.payload)  # type: ignore[arg-type]  # what was published are bytes

    assert asyncio.run(run()) == b"open"
