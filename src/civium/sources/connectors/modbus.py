"""Modbus TCP: registers and coils of plants and pumping stations, read at an interval."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from civium.core.extras import require
from civium.engines.settings import SettingsWrong
from civium.sources.feeds.source import Field, Item, Sink, Source, SourceSettings, SourceTrouble

_LENGTHS = {
    "int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "int64": 4, "uint64": 4, "float32": 2, "float64": 4, "bool": 1,
}  # fmt: skip
_READERS = {
    "holding": "read_holding_registers", "input": "read_input_registers",
    "coil": "read_coils", "discrete": "read_discrete_inputs",
}  # fmt: skip
_FUNCTIONS = {"holding": 3, "input": 4, "coil": 1, "discrete": 2}  # what an answer bears
_BITS = ("coil", "discrete")
_MOST = 120  # registers in one question; the standard allows 125


class Register(Field, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One value: where it is (``address`` counts from 0), and how it is written in registers of 16 bits."""

    address: int
    table: str = "holding"  # holding, input, coil or discrete
    format: str = "uint16"  # or int16, int32, uint32, int64, uint64, float32, float64; bool for coils
    words: str = "big"  # which word of a longer value comes first: big or little
    bytes: str = "big"  # which byte of a word comes first


class ModbusSettings(SourceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``url`` is ``tcp://host:502``; ``device`` the unit id behind it."""

    fields: tuple[Register, ...] = ()
    device: int = 1
    every_s: float = 10.0  # [s]
    timeout_s: float = 3.0  # for each answer [s]


def check(settings: ModbusSettings) -> None:
    """Raises SettingsWrong for a register that there cannot be."""
    _address(settings.url)
    for field in settings.fields:
        if (
            field.table not in _READERS
            or field.format not in _LENGTHS
            or {field.words, field.bytes} - {"big", "little"}
        ):
            raise SettingsWrong(f"register {field.address}: table, format, words or bytes is none; see docs/sources.md")
        if (field.table in _BITS) != (field.format == "bool"):
            raise SettingsWrong(f"register {field.address}: the format bool is for coils and discrete inputs")
        if not 0 <= field.address <= 65_536 - _LENGTHS[field.format]:
            raise SettingsWrong(f"register {field.address} is not one of 0 to 65535")


async def run(settings: ModbusSettings, sink: Sink) -> None:
    """Read all registers again and again; raises SourceTrouble when the device does not answer."""
    module, exceptions = require("pymodbus.client", "plants"), require("pymodbus.exceptions", "plants")
    loop = asyncio.get_running_loop()
    host, port = _address(settings.url)
    client = module.AsyncModbusTcpClient(
        host, port=port, timeout=settings.timeout_s, retries=0, reconnect_delay=0, name=sink.name
    )
    try:
        if not await client.connect():
            raise SourceTrouble(f"no Modbus device at {host}:{port}")
        while True:
            due = loop.time() + settings.every_s
            items: list[Item] = []
            refused: list[str] = []
            for fields in _spans(settings.fields):
                try:
                    items += await _read(client, fields, settings.device, sink.now())
                except _Refused as error:
                    refused.append(str(error))
            await sink.put(items)
            if refused:
                sink.ill("; ".join(refused))
            await asyncio.sleep(max(due - loop.time(), 0.0))
    except exceptions.ModbusException as error:
        raise SourceTrouble(f"the Modbus device at {host}:{port} does not answer: {error}") from None
    finally:
        client.close()


class _Refused(Exception):
    """The device refuses to tell some registers."""


async def _read(client: Any, fields: Sequence[Register], device: int, now: int) -> list[Item]:
    """The values of neighbours, of ``now`` [us since epoch]."""
    first, last = fields[0], fields[-1]
    count = last.address + _LENGTHS[last.format] - first.address
    answer = await getattr(client, _READERS[first.table])(first.address, count=count, device_id=device)
    if answer.isError():
        raise _Refused(f"{first.table} register {first.address} is refused: {answer}")
    if answer.function_code != _FUNCTIONS[first.table]:
        raise _Refused(f"{first.table} register {first.address}: the answer is to another question")
    if len(answer.bits if first.table in _BITS else answer.registers) < count:
        raise _Refused(f"{first.table} register {first.address}: the answer is shorter than was asked")
    return [_item(client, answer, field, field.address - first.address, now) for field in fields]


def _item(client: Any, answer: Any, field: Register, at: int, now: int) -> Item:
    if field.table in _BITS:
        value = bool(answer.bits[at])
    else:
        words = answer.registers[at : at + _LENGTHS[field.format]]
        if field.bytes == "little":
            words = [(word & 0xFF) << 8 | word >> 8 for word in words]
        value = client.convert_from_registers(words, client.DATATYPE[field.format.upper()], word_order=field.words)
    said = {"table": field.table, "address": field.address, "value": value}
    return Item(said, now, field=field)


def _spans(fields: Sequence[Register]) -> Iterator[list[Register]]:
    """Neighbours that are asked for together; a gap between them may be registers that the device refuses."""
    span: list[Register] = []
    for field in sorted(fields, key=lambda field: (field.table, field.address)):
        end = span[-1].address + _LENGTHS[span[-1].format] if span else -1
        long = span and field.address + _LENGTHS[field.format] - span[0].address > _MOST
        if span and (field.table != span[0].table or field.address != end or long):
            yield span
            span = []
        span.append(field)
    if span:
        yield span


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        if parts.scheme == "tcp" and parts.hostname:
            return parts.hostname, parts.port or 502
    except ValueError:  # a port that is none
        pass
    raise SettingsWrong(f"url is '{url}'; write tcp://host:502")


SOURCE = Source("modbus", ModbusSettings, run=run, check=check)
