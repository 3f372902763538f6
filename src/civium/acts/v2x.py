"""The V2X actuator: a signal controller that takes SREM and answers SSEM, over UDP as roadside units do.

Its address is ``udp://HOST:PORT?intersection=17&region=0&station=4711``. A phase p is asked for as connection p + 1,
which the controller is set up to know.
"""

import asyncio
import zlib
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from civium.acts.its import Answer, Intersection, Request, prepare, read_ssem, srem
from civium.acts.task import Task
from civium.core import InputRefused
from civium.core.clock import Clock
from civium.core.extras import ExtraMissing

PATIENCE_S = 1.0
REFUSES = ("rejected", "maxPresence", "reserviceLocked")


@dataclass(frozen=True, slots=True)
class Controller:
    """Where a controller is, and how the messages name it."""

    host: str
    port: int
    at: Intersection
    station: int


def controller(address: str) -> Controller:
    """Reads the address of an actuator; ``InputRefused`` says what is wrong with it."""
    try:
        parts = urlsplit(address)
        told = {name: int(values[-1]) for name, values in parse_qs(parts.query).items()}
        host, port = parts.hostname, parts.port
        if parts.scheme != "udp" or not host or not port or "intersection" not in told:
            raise ValueError
        at = Intersection(told.get("region", 0), told["intersection"])
        if not (0 <= at.region <= 65_535 and 0 <= at.id <= 65_535 and 0 <= told.get("station", 0) < 2**32):
            raise ValueError
    except ValueError:
        wanted = "udp://HOST:PORT?intersection=17&region=0&station=4711"
        raise InputRefused(f"'{address}' is no address of a controller: {wanted}") from None
    return Controller(host, port, at, told.get("station", 0))


class V2xSender:
    """Asks controllers for phases, and waits for what they answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def send(self, tasks: list[Task]) -> list[str | None]:
        """For each task None when it was granted or is being dealt with, else why not."""
        return await asyncio.gather(*(self._send(task) for task in tasks))

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _send(self, task: Task) -> str | None:
        try:
            to = controller(task.address)
            await asyncio.to_thread(prepare)
            number = zlib.crc32(task.id.encode()) % 256
            connection = int(float(task.value)) + 1
            message = srem(Request(to.station, to.at, number, connection, self._clock.now(), task.until))
            answer = await _ask(to, message, number)
        except (InputRefused, ExtraMissing) as error:
            return str(error)
        except (OSError, ValueError) as error:
            return f"{task.address} cannot be asked: {error}"
        if answer is None:
            return f"{task.address} did not answer within {PATIENCE_S:g} s"
        return f"the controller says {answer.status}" if answer.status in REFUSES else None


class _Question(asyncio.DatagramProtocol):
    def __init__(self, number: int) -> None:
        self._number = number
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        try:
            found = [answer for answer in read_ssem(data) if answer.number == self._number]
        except InputRefused:
            return  # not for us
        if found and not self.answer.done():
            self.answer.set_result(found[0])

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask(to: Controller, message: bytes, number: int) -> Answer | None:
    loop = asyncio.get_running_loop()
    transport, question = await loop.create_datagram_endpoint(lambda: _Question(number), remote_addr=(to.host, to.port))
    try:
        transport.sendto(message)
        return await asyncio.wait_for(question.answer, PATIENCE_S)
    except TimeoutError:
        return None
    finally:
        transport.close()
