"""Plants whose values are bad, of another type or no answer at all: each is told, and nothing is read wrong."""

import asyncio
import struct
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec import structs

from civium.engines.settings import SettingsWrong
from civium.sources.connectors import modbus, opcua
from civium.sources.connectors.modbus import ModbusSettings, Register
from civium.sources.connectors.opcua import Node, OpcUaSettings
from civium.sources.feeds.mapping import Mapping
from civium.sources.feeds.source import Item, SourceTrouble
from tests.city.plants import Plant

CLIENT_AUTH, SERVER_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Heard:
    """A sink that keeps what it is given."""

    name = "test"

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.refused: list[str] = []
        self.trouble = ""

    def now(self) -> int:
        return 1_780_315_200_000_000

    def ill(self, why: str) -> None:
        self.trouble = why

    async def put(self, items: Any, **_: Any) -> int:
        self.items += items
        return 0

    async def refuse(self, data: bytes, why: str, about: str = "") -> None:
        self.refused.append(why)


def until(work: Coroutine[Any, Any, None], done: Callable[[], bool], patience: float = 30.0) -> str:
    """Let a source run until something is so; why it ended by itself, if it did."""

    async def run() -> str:
        task = asyncio.ensure_future(work)
        end = asyncio.get_running_loop().time() + patience
        while not done() and not task.done():
            assert asyncio.get_running_loop().time() < end, "nothing came of it"
            await asyncio.sleep(0.02)
        task.cancel()
        with suppress(asyncio.CancelledError):
            try:
                await task
            except SourceTrouble as trouble:
                return str(trouble)
        return ""

    return asyncio.run(run())


@pytest.fixture
def plant() -> Iterator[Plant]:
    started = Plant()
    yield started
    with suppress(Exception):  # a test has stopped it
        started.stop()


def followed(plant: Plant, *names: str) -> OpcUaSettings:
    fields = tuple(Node(node=f"ns={plant.namespace};s={name}", stream=f"p/{name}", unit="1") for name in names)
    return OpcUaSettings(kind="opcua", url=plant.url, fields=fields, sampling_ms=20, timeout_s=5)


@pytest.mark.parametrize(
    ("status", "word"),
    [(0x80310000, "BadNoCommunication"), (0x808C0000, "BadSensorFailure"), (0x40930000, "Uncertain")],
)
def test_a_status_that_is_not_good_is_told_with_its_name_and_no_value_is_taken(
    plant: Plant, status: int, word: str
) -> None:
    plant.flow(99.0, NOON, status)
    heard = Heard()
    until(opcua.run(followed(plant, "Pump1.Flow"), heard), lambda: bool(heard.refused))  # type: ignore[arg-type]
    assert any(word in why for why in heard.refused), heard.refused
    assert heard.items == []


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ([1.0, 2.5], ua.VariantType.Double, [1.0, 2.5]),
        (ua.LocalizedText("Öffnen", "de"), ua.VariantType.LocalizedText, "Öffnen"),
        (True, ua.VariantType.Boolean, True),
        (NOON, ua.VariantType.DateTime, "2026-06-01T12:00:00+00:00"),
        (2**62 + 1, ua.VariantType.Int64, 2**62 + 1),
        (b"\x01\x02", ua.VariantType.ByteString, None),
        (ua.NodeId("x", 2), ua.VariantType.NodeId, None),
    ],
)
def test_a_value_of_another_type_is_what_it_is_or_told(plant: Plant, value: Any, kind: Any, expected: Any) -> None:
    plant.add("Pump1.Odd", value, kind)
    heard = Heard()
    work = opcua.run(followed(plant, "Pump1.Odd"), heard)  # type: ignore[arg-type]
    until(work, lambda: bool(heard.items or heard.refused))
    if expected is None:
        assert heard.items == []
        assert "which is no number, text, truth or list of these" in heard.refused[0]
    else:
        assert [item.said["value"] for item in heard.items] == [expected]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key of each of three: us, the plant, and somebody else."""
    folder = tmp_path_factory.mktemp("papers")
    for name, use in (("us", CLIENT_AUTH), ("plant", SERVER_AUTH), ("other", SERVER_AUTH)):
        made = setup_self_signed_certificate(
            folder / f"{name}.pem", folder / f"{name}.der", f"urn:{name}", "localhost", [use], {"commonName": name}
        )
        asyncio.run(made)
    return folder


@pytest.mark.parametrize("named", ["plant", "other"])
def test_a_server_is_talked_to_only_if_it_is_the_one_that_is_named(papers: Path, named: str) -> None:
    plant = Plant(papers / "plant.der", papers / "plant.pem")
    parts = ["Basic256Sha256", "SignAndEncrypt", *(str(papers / one) for one in ("us.der", "us.pem", f"{named}.der"))]
    settings = structs.replace(followed(plant, "Pump1.Flow"), security=",".join(parts))
    opcua.check(settings)
    with pytest.raises(SettingsWrong, match=r"server\.der"):
        opcua.check(structs.replace(settings, security=",".join(parts[:4])))
    try:
        plant.flow(7.0, NOON)
        heard = Heard()
        why = until(opcua.run(settings, heard), lambda: bool(heard.items), 60)  # type: ignore[arg-type]
    finally:
        plant.stop()
    if named == "plant":
        assert [item.said["value"] for item in heard.items] == [7.0]
    else:
        assert "no OPC UA server lets us in" in why
        assert heard.items == []


def test_a_server_that_goes_is_told_and_so_is_one_that_never_was(plant: Plant) -> None:
    plant.flow(1.0, NOON)
    heard, stopped = Heard(), []

    def gone() -> bool:
        if heard.items and not stopped:
            stopped.append(True)
            plant.stop()
        return False

    why = until(opcua.run(followed(plant, "Pump1.Flow"), heard), gone, 60)  # type: ignore[arg-type]
    assert why
    assert [item.said["value"] for item in heard.items] == [1.0]
    why = until(opcua.run(followed(plant, "Pump1.Flow"), Heard()), lambda: False, 60)  # type: ignore[arg-type]
    assert "no OPC UA server lets us in" in why


Answer = Callable[[bytes], bytes]


def device(answer: Answer, heard: Heard, *fields: Register, done: Callable[[], bool]) -> str:
    """Read from a device that answers each question (an MBAP frame) as ``answer`` says; why the source ended."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(7)
                question = head + await reader.readexactly(struct.unpack(">H", head[4:6])[0] - 1)
                told = answer(question)
                if not told:
                    break
                writer.write(told)
                await writer.drain()
        writer.close()

    async def run() -> str:
        server = await asyncio.start_server(served, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = ModbusSettings(
            kind="modbus", url=f"tcp://127.0.0.1:{port}", device=3, fields=fields, every_s=0.05, timeout_s=0.5
        )
        task = asyncio.ensure_future(modbus.run(settings, heard))  # type: ignore[arg-type]
        end = asyncio.get_running_loop().time() + 20
        while not done() and not task.done() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        task.cancel()
        try:
            await task
        except SourceTrouble as trouble:
            return str(trouble)
        except asyncio.CancelledError:
            return ""
        finally:
            server.close()
        return ""

    return asyncio.run(run())


def frame(question: bytes, body: bytes, unit: int = 3) -> bytes:
    return question[:4] + struct.pack(">HB", len(body) + 1, unit) + body


FLOW = Register(address=0, format="float32", stream="s/flow", unit="m3/h")
LEVEL = Register(address=10, format="int16", stream="s/level", unit="cm")


@pytest.mark.parametrize(("code", "words"), [(1, "1"), (2, "2"), (4, "4"), (6, "6"), (11, "11")])
def test_an_exception_of_a_modbus_device_is_told_and_costs_no_other_register(code: int, words: str) -> None:
    def answer(question: bytes) -> bytes:
        address = struct.unpack(">H", question[8:10])[0]
        return frame(question, bytes([0x83, code]) if address == 0 else b"\x03\x02" + struct.pack(">h", -7))

    heard = Heard()
    device(answer, heard, FLOW, LEVEL, done=lambda: bool(heard.trouble))
    assert "holding register 0 is refused" in heard.trouble
    assert words in heard.trouble
    assert {item.said["value"] for item in heard.items} == {-7}


@pytest.mark.parametrize(
    "answer",
    [
        lambda question: frame(question, b"\x03\x02\x00\x01"),  # one register of the two
        lambda question: frame(question, b"\x03\x08\x00\x01\x00"),  # it says more than it sends
        lambda question: frame(question, b"\x04\x04\x00\x00\x00\x00"),  # another function's
        lambda question: frame(question, b"\x03\x04\x41\x48\x00\x00", unit=9),  # another device's
        lambda question: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda question: b"\x00" * 7,
        lambda question: struct.pack(">H", 999) + question[2:4] + b"\x00\x07\x03\x03\x04\x41\x48\x00\x00",  # another's
        lambda question: b"",
    ],
)
def test_an_answer_that_is_none_is_trouble_and_never_a_value(answer: Answer) -> None:
    heard = Heard()
    why = device(answer, heard, FLOW, done=lambda: bool(heard.trouble or heard.items))
    assert why or heard.trouble
    assert heard.items == []


def test_a_float_that_says_not_available_is_no_reading() -> None:
    heard = Heard()
    nan = struct.pack(">f", float("nan"))
    device(lambda question: frame(question, b"\x03\x04" + nan), heard, FLOW, done=lambda: bool(heard.items))
    settings = ModbusSettings(kind="modbus", fields=(FLOW,))
    [told, *_], _ = Mapping("s", settings).readings([Item({"value": heard.items[0].said["value"]}, 0)])
    assert told[0].result != told[0].result  # NaN: the examination of every door refuses it


def test_the_words_and_bytes_of_a_value_are_in_the_order_that_is_declared() -> None:
    for words, order in (("big", "big"), ("little", "big"), ("big", "little"), ("little", "little")):
        data = struct.pack(">f", 12.5)
        parts = [data[:2], data[2:]]
        if words == "little":
            parts.reverse()
        if order == "little":
            parts = [part[::-1] for part in parts]
        heard = Heard()
        field = Register(address=0, format="float32", words=words, bytes=order, stream="s/f")
        body = b"\x03\x04" + b"".join(parts)
        device(
            lambda question, body=body: frame(question, body), heard, field, done=lambda heard=heard: bool(heard.items)
        )
        assert heard.items[0].said["value"] == 12.5, (words, order)
