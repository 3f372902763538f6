"""The devices' way to the platform over HTTP: registration, observations and the clock, through its public doors.

What cannot be sent waits in a bounded buffer and goes out again under the same Idempotency-Key, so that nothing
arrives twice; when the buffer is full the oldest readings are lost first, as in a device with little memory.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core import InputRefused, to_datetime
from civium.core.view import INSTANT

MOST_BUFFERED = 4000  # requests
MOST_TRIES = 20  # of a request that the platform fails to answer properly
AT_ONCE = 8
PATIENCE_S = 20.0  # for a tick whose turns take long; a platform that is known to be away gets a second
_COMPONENTS = ("phenomenonTime", "resultTime", "result")


@dataclass(slots=True)
class Parcel:
    """One request with observations, sent until it is answered."""

    path: str
    kind: str
    body: bytes
    rows: int
    token: str = ""
    key: str = field(default_factory=lambda: str(uuid4()))
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Registered:
    """Ids that the platform gave, by key."""

    things: dict[str, int]
    streams: dict[str, int]
    actuators: dict[str, int]


class HttpGateway:
    """Sends to the platform at ``base``. Counts rows ``sent``, ``refused`` (with the last reason) and ``lost``."""

    def __init__(self, base: str) -> None:
        self._client = httpx.AsyncClient(base_url=base, timeout=PATIENCE_S)
        self._buffer: deque[Parcel] = deque()
        self._ticked = False
        self.base = base
        self.away = True  # until the first tick is answered: the platform's clock must stand before readings come
        self.sent = self.refused = self.lost = 0
        self.refusal = ""

    @property
    def buffered(self) -> int:
        """Requests that wait."""
        return len(self._buffer)

    async def register(self, lines: bytes, patience: float, token: str = "") -> Registered:
        """Registers all devices; waits up to ``patience`` [s] for a platform that is not there yet.

        Raises ``InputRefused`` with the platform's reason, or when it never came.
        """
        deadline = asyncio.get_running_loop().time() + patience
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        while True:
            try:
                answer = await self._client.post("/api/register", content=lines, headers=headers, timeout=120.0)
                if answer.status_code < 500:
                    break
            except httpx.TransportError:
                pass
            if asyncio.get_running_loop().time() > deadline:
                raise InputRefused(f"no platform answers at {self.base}; start one with: civium up", status=503)
            await asyncio.sleep(0.2)
        if answer.status_code >= 400:
            raise InputRefused(f"the platform refused the devices: {_reason(answer)}", status=answer.status_code)
        return msgspec.convert(answer.json(), Registered)

    def put_array(self, streams: NDArray[np.int64], values: NDArray[np.float64], instant: int) -> None:
        """Readings of one instant [us] for the SensorThings dataArray; in the units that the streams registered."""
        self.put_results(streams.tolist(), values.tolist(), instant)

    def put_results(self, streams: list[int], results: list[Any], instant: int, token: str = "") -> None:
        """Results of any kind of one instant [us], in a SensorThings dataArray, with a ``token`` if need be."""
        time = _iso(instant)
        body = msgspec.json.encode(
            [
                {"Datastream": {"@iot.id": stream}, "components": _COMPONENTS, "dataArray": [(time, time, result)]}
                for stream, result in zip(streams, results, strict=True)
            ]
        )
        self._put(Parcel("/v1.1/CreateObservations?on_error=keep", "application/json", body, len(results), token))

    def put_passages(self, answers: list[dict[str, str]], token: str) -> None:
        """What Bluetooth readers heard, for the source of that name, which takes it with ``token``."""
        self._put(Parcel("/sources/bluetooth", "application/json", msgspec.json.encode(answers), len(answers), token))

    def put_arrow(
        self,
        streams: NDArray[np.int64],
        values: NDArray[np.float64],
        instant: int | NDArray[np.int64],
        parents: list[str | None] | None = None,
    ) -> None:
        """Readings of one instant [us], or one each, for the Arrow door; with the decision that caused it, if any."""
        time = pa.array(np.broadcast_to(np.asarray(instant, np.int64), values.shape)).cast(INSTANT)
        columns = {"stream": pa.array(streams), "time": time, "value": pa.array(values), "made": time}
        if parents is not None:
            columns["parent"] = pa.array(parents, pa.string())
        table = pa.table(columns)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        body = sink.getvalue().to_pybytes()
        kind = "application/vnd.apache.arrow.stream"
        self._put(Parcel("/bulk/observations?on_error=keep", kind, body, len(values)))

    def _put(self, parcel: Parcel) -> None:
        if parcel.rows == 0:
            return
        if len(self._buffer) >= MOST_BUFFERED:
            self.lost += self._buffer.popleft().rows
        self._buffer.append(parcel)

    async def flush(self) -> None:
        """Sends what waits; does nothing while the platform is away."""
        while self._buffer and not self.away:
            batch = [self._buffer.popleft() for _ in range(min(AT_ONCE, len(self._buffer)))]
            kept = [p for p, done in zip(batch, await asyncio.gather(*map(self._send, batch)), strict=True) if not done]
            self._buffer.extendleft(reversed(kept))
            if kept:
                return

    async def _send(self, parcel: Parcel) -> bool:
        """Whether a parcel is dealt with."""
        parcel.tries += 1
        headers = {"Content-Type": parcel.kind, "Idempotency-Key": parcel.key}
        if parcel.token:
            headers["Authorization"] = f"Bearer {parcel.token}"
        try:
            answer = await self._client.post(parcel.path, content=parcel.body, headers=headers)
        except httpx.TransportError:
            self.away = True
            return False
        if answer.status_code >= 500:
            if answer.status_code in (503, 504) or parcel.tries < MOST_TRIES:
                return False
            self.lost += parcel.rows
        elif answer.status_code >= 400:
            self.refused += parcel.rows
            self.refusal = _reason(answer)
        else:
            self.sent += parcel.rows
        return True

    async def tick(self, instant: int) -> bool:
        """Tells the platform the time [us] and waits until its turns are done; False when it is away.

        Raises ``InputRefused`` when the first tick is refused: then this sandbox cannot lead this platform's clock.
        """
        try:
            answer = await self._client.post(
                "/clock", json={"time": _iso(instant)}, timeout=1.0 if self.away else PATIENCE_S
            )
        except httpx.TransportError:
            self.away = True
            return False
        if answer.status_code >= 500:
            return False
        # A later tick may be refused as past: one that seemed to fail had arrived. Time goes on, the next one fits.
        if answer.status_code >= 400 and not self._ticked:
            raise InputRefused(f"the platform refused the clock: {_reason(answer)}", status=answer.status_code)
        self._ticked, self.away = True, False
        return True

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def _iso(instant: int) -> str:
    return to_datetime(instant).isoformat().replace("+00:00", "Z")
