"""The load: many clients of all doors, each reading with an identity, and a note of what became of each request.

A process of its own (``python -m tests.faults.load SPEC``), so that neither the city nor the harness slows it. It knows
nothing of how the city was started: addresses, streams, a rate. The identity of a reading is its stream and its value,
a whole number that the stream never sees twice. It ends at SIGTERM and leaves its notes (schema ``NOTES``) in a file.
"""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pyarrow as pa

ACCEPTED, REFUSED, UNKNOWN = 1, 0, 2
NOTES = pa.schema(
    [
        ("door", pa.string()),
        ("stream", pa.int64()),
        ("first", pa.int64()),  # of consecutive numbers
        ("count", pa.int64()),
        ("outcome", pa.int8()),
        ("at", pa.float64()),  # of the answer, or of giving up [s, CLOCK_MONOTONIC]
        ("took", pa.float64()),  # [s]
        ("status", pa.int16()),  # of HTTP; 0: no answer
        ("retry_after", pa.bool_()),
    ]
)
PATIENCE_S = 90.0  # of a client for an answer
_PAUSE_S = 0.1  # before a client tries again
_FIRST = asyncio.FIRST_COMPLETED
_INFLIGHT = 16  # publishes of one MQTT client that wait for their acknowledgement


@dataclass
class Spec:
    """What to send where. ``shares`` is the part of ``rate`` [readings/s] that goes through each door."""

    http: list[str]  # host:port of every door
    mqtt: list[str]
    token: str
    streams: list[int]
    lamps: list[int]  # streams that practices look at: one small batch of all of them, twice a second
    rate: float
    notes: str  # the file
    first: int = 1  # number of the first reading of each stream
    clients: dict[str, int] = field(
        default_factory=lambda: {"single": 16, "keyed": 8, "array": 4, "arrow": 4, "mqtt": 8, "mqtt-keyed": 8}
    )
    shares: dict[str, float] = field(
        default_factory=lambda: {
            "single": 0.02, "keyed": 0.01, "array": 0.25, "arrow": 0.69, "mqtt": 0.02, "mqtt-keyed": 0.01,
        }
    )  # fmt: skip
    rows: dict[str, int] = field(default_factory=lambda: {"array": 250, "arrow": 1000})  # of one request

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


class Notes:
    """What became of each attempt, in columns."""

    def __init__(self) -> None:
        self._columns: list[list[Any]] = [[] for _ in NOTES]

    def add(self, *row: Any) -> None:
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)

    def save(self, path: Path) -> None:
        table = pa.table([pa.array(c, f.type) for c, f in zip(self._columns, NOTES, strict=True)], schema=NOTES)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, NOTES) as writer:
            writer.write_table(table)


def read_notes(path: Path) -> pa.Table:
    """The notes that a load left; in memory, since the next load writes over the file."""
    return pa.ipc.open_file(pa.py_buffer(path.read_bytes())).read_all()


class Http:
    """One keep-alive connection; as little code as HTTP/1.1 allows, so that a client costs next to nothing."""

    def __init__(self, address: str, token: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._head = f"Host: {address}\r\nAuthorization: Bearer {token}\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, key: str = "") -> tuple[int, bool]:
        """Status, and whether Retry-After was in the answer; raises OSError or EOFError when there is none."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        more = f"Idempotency-Key: {key}\r\n" if key else ""
        writer.write(f"POST {path} HTTP/1.1\r\n{self._head}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
        await reader.readexactly(length)
        return int(head[9:12]), "\r\nretry-after:" in head

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Load:
    """All clients of one spec."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.notes, self.stopping = spec, Notes(), asyncio.Event()

    async def run(self) -> None:
        """Until ``stopping`` is set; what is still under way then is waited for."""
        spec, streams, work = self.spec, iter(self.spec.streams), []
        for door, count in spec.clients.items():
            rows = spec.rows.get(door, 1)
            period = rows * count / (spec.rate * spec.shares[door])
            for n in range(count):
                mine, phase = [next(streams)], period * n / count
                client = self._mqtt if door.startswith("mqtt") else self._http
                work.append(client(door, n, mine, rows, period, phase))
        if spec.lamps:
            work.append(self._http("lamps", 0, spec.lamps, 1, 0.5, 0.0))
        await asyncio.gather(*work)

    async def _paced(self, period: float, phase: float) -> AsyncIterator[int]:
        """Numbers of turns, one a period: late ones are not caught up."""
        loop, number = asyncio.get_running_loop(), 0
        due = loop.time() + phase
        while not self.stopping.is_set():
            if (left := due - loop.time()) > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), left)
                    return
            yield number
            number += 1
            due = max(due + period, loop.time())

    async def _numbers(self, period: float, phase: float) -> AsyncIterator[int]:
        async for turn in self._paced(period, phase):
            yield self.spec.first + turn

    async def _http(self, door: str, n: int, streams: Sequence[int], rows: int, period: float, phase: float) -> None:
        http = Http(self.spec.http[n % len(self.spec.http)], self.spec.token)
        keyed = door in ("keyed", "arrow")
        async for turn in self._paced(period, phase):
            first = self.spec.first + turn * rows
            path, body = _body(door, streams, first, rows)
            key = f"{door}/{streams[0]}/{first}" if keyed else ""
            while True:
                outcome = await self._attempt(http, door, path, body, key, streams, first, rows)
                if outcome == ACCEPTED or self.stopping.is_set():
                    break
                await asyncio.sleep(_PAUSE_S)
                if not keyed:
                    break
        http.close()

    async def _attempt(
        self, http: Http, door: str, path: str, body: bytes, key: str, streams: Sequence[int], first: int, rows: int
    ) -> int:
        begun, status, retry_after = time.monotonic(), 0, False
        try:
            status, retry_after = await asyncio.wait_for(http.post(path, body, key), PATIENCE_S)
            outcome = ACCEPTED if status in (200, 201) else UNKNOWN if status == 504 else REFUSED
        except ConnectionRefusedError:
            outcome = REFUSED  # nothing was sent
            http.close()
        except (OSError, EOFError, TimeoutError):
            outcome = UNKNOWN
            http.close()
        now = time.monotonic()
        for stream in streams:
            self.notes.add(door, stream, first, rows, outcome, now, now - begun, status, retry_after)
        return outcome

    async def _mqtt(self, door: str, n: int, streams: Sequence[int], rows: int, period: float, phase: float) -> None:
        host, _, port = self.spec.mqtt[n % len(self.spec.mqtt)].rpartition(":")
        (stream,), lives, again = streams, 0, asyncio.Queue[int]()
        numbers = self._numbers(period, phase)
        while not self.stopping.is_set():
            lives += 1
            try:
                async with aiomqtt.Client(host, int(port), identifier=f"{door}-{stream}-{lives}") as client:
                    client.pending_calls_threshold = 10 * _INFLIGHT
                    await self._publish(client, door, stream, numbers, again)
            except aiomqtt.MqttError:
                await asyncio.sleep(_PAUSE_S)

    async def _publish(
        self, client: aiomqtt.Client, door: str, stream: int, numbers: AsyncIterator[int], again: "asyncio.Queue[int]"
    ) -> None:
        """Publish until the connection is lost; a keyed reading without an acknowledgement goes to ``again``."""
        gate, under_way = asyncio.Semaphore(_INFLIGHT), set[asyncio.Task[None]]()

        async def one(number: int) -> None:
            begun, outcome = time.monotonic(), UNKNOWN
            reading: dict[str, Any] = {"result": number, "phenomenonTime": datetime.now(UTC).isoformat()}
            if door == "mqtt-keyed":
                reading["idempotencyKey"] = f"{stream}/{number}"
            try:
                await client.publish(topic, json.dumps(reading), 1, timeout=PATIENCE_S)
                outcome = ACCEPTED
            except aiomqtt.MqttError:
                listening.cancel()  # the connection is lost, or the acknowledgement: begin again
            finally:
                gate.release()
                now = time.monotonic()
                self.notes.add(door, stream, number, 1, outcome, now, now - begun, 0, False)
                if outcome == UNKNOWN and door == "mqtt-keyed":
                    again.put_nowait(number)

        async def listen() -> None:
            with contextlib.suppress(aiomqtt.MqttError):  # it is lost, and nobody tells those who wait
                async for _ in client.messages:
                    continue

        topic = f"v1.1/Datastreams({stream})/Observations"
        listening = asyncio.create_task(listen())
        try:
            while not listening.done():
                await asyncio.wait({asyncio.ensure_future(gate.acquire()), listening}, return_when=_FIRST)
                if listening.done():
                    break
                number = again.get_nowait() if not again.empty() else await anext(numbers, None)
                if number is None:
                    break
                task = asyncio.create_task(one(number))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if not listening.done() and under_way:
                await asyncio.wait({listening, asyncio.gather(*under_way)}, return_when=_FIRST)
        finally:
            listening.cancel()
            left = list(under_way)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


def _body(door: str, streams: Sequence[int], first: int, rows: int) -> tuple[str, bytes]:
    """Path and body of one request."""
    now = datetime.now(UTC)
    if door in ("single", "keyed"):
        reading = {"result": first, "phenomenonTime": now.isoformat()}
        return f"/v1.1/Datastreams({streams[0]})/Observations", json.dumps(reading).encode()
    if door in ("array", "lamps"):
        told = now.isoformat()
        groups = [
            {"Datastream": {"@iot.id": stream}, "components": ["phenomenonTime", "result"],
             "dataArray": [[told, number] for number in range(first, first + rows)]}
            for stream in streams
        ]  # fmt: skip
        return "/v1.1/CreateObservations", json.dumps(groups).encode()
    table = pa.table(
        {
            "stream": pa.array([streams[0]] * rows, pa.int64()),
            "time": pa.array([now] * rows, pa.timestamp("us", tz="UTC")),
            "value": pa.array(range(first, first + rows), pa.float64()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return "/bulk/observations", sink.getvalue().to_pybytes()


async def _main(spec: Spec) -> None:
    load = Load(spec)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # aiomqtt leaves callbacks on sockets that are closed
    stop: Callable[[], None] = load.stopping.set
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    await load.run()
    load.notes.save(Path(spec.notes))


if __name__ == "__main__":
    asyncio.run(_main(Spec(**json.loads(Path(sys.argv[1]).read_text()))))
