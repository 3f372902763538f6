"""Turns what foreign systems say into readings of the city's streams, as a city declares it: fields by JMESPath."""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError

from civium.core import CiviumError, from_datetime, to_datetime
from civium.engines.settings import SettingsWrong
from civium.sources.feeds.source import Field, Item, SourceSettings
from civium.sources.import_cells import EPOCH_US, TimeReading
from civium.sources.register import StreamLine, ThingLine

_LONGEST_KEY = 200
_PART = re.compile(r"\{([^{}]*)\}")
_LATEST_US = 253_402_300_800_000_000  # year 10000
_SORTED = msgspec.json.Encoder(order="sorted")


class NotFound(Exception):
    """An item does not say what a field asks of it; the text says what."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reading as a source told it, for a stream by its key or its id; ``time`` and ``until`` [us since epoch]."""

    result: Any
    stream: str = ""
    datastream: int = 0
    time: int | None = None
    until: int | None = None
    unit: str = ""
    identity: str = ""

    @property
    def about(self) -> str:
        """The stream that it is for."""
        return self.stream or f"Datastreams({self.datastream})"


class Template:
    """A text with JMESPath expressions in braces."""

    def __init__(self, text: str) -> None:
        parts = _PART.split(text)
        self._parts = [part if number % 2 == 0 else expression(part) for number, part in enumerate(parts)]
        self._text = text

    def fill(self, said: Any) -> str:
        """The text for what an item says; raises NotFound."""
        texts = []
        for part in self._parts:
            value = part if isinstance(part, str) else part.search(said)
            if not isinstance(part, str) and (value in (None, "") or isinstance(value, bool | dict | list)):
                raise NotFound(f"'{self._text}' cannot be filled: a part of it is missing")
            texts.append(str(value))
        return "".join(texts)


class Mapping:
    """The declared fields of one source, ready to be used."""

    def __init__(self, name: str, settings: SourceSettings) -> None:
        self._name, self._settings = name, settings
        try:
            self._how = TimeReading(settings.timezone, settings.epoch)
            self._fields = {id(field): _Compiled(field) for field in settings.fields}
            self._identity = expression(settings.identity) if settings.identity else None
            self._time = expression(settings.time) if settings.time else None
            thing = settings.thing
            self._thing_key, self._thing_name = Template(thing.key), Template(thing.name)
            self._place = [expression(one) for one in (thing.lon, thing.lat) if one]
        except CiviumError as error:
            raise SettingsWrong(f"[sources.{name}]: {error}".replace("--", "")) from None

    def readings(self, items: Sequence[Item]) -> tuple[list[tuple[Told, Item, Field]], list[tuple[Item, str]]]:
        """The readings of items, each with where it comes from; and the items that hold none, with why."""
        found: list[tuple[Told, Item, Field]] = []
        empty: list[tuple[Item, str]] = []
        for item in items:
            before, whys = len(found), []
            for field in self._fields.values() if item.field is None else [self._fields[id(item.field)]]:
                try:
                    if (value := field.value.search(item.said)) is not None:
                        found.append((self._told(item, field, value), item, field.told))
                except (NotFound, JMESPathError, RecursionError, OverflowError) as error:
                    whys.append(str(error))
            if whys or len(found) == before:
                empty.append((item, "; ".join(dict.fromkeys(whys)) or "none of the declared fields is in it"))
        return found, empty

    def _told(self, item: Item, field: "_Compiled", value: Any) -> Told:
        time = item.time
        if (asked := field.time or self._time) is not None:
            time = read_time(asked.search(item.said), self._how)
        if any(one is not None and abs(one) >= _LATEST_US for one in (time, item.until)):
            raise NotFound("its time is no year of ours: does it count in another unit than it should?")
        identity = item.identity
        if self._identity is not None:
            try:
                own = self._identity.search(item.said)
            except JMESPathError:  # a function of what is missing
                own = None
            if own is None:
                raise NotFound(f"it has no '{self._settings.identity}', which is to tell it from others")
            identity = own if isinstance(own, str) else _SORTED.encode(own).decode()
        if field.told.factor != 1.0 or field.told.offset != 0.0:
            value = _scaled(value, field.told)
        key = field.key.fill(item.said) if field.told.stream else ""
        if len(key) > _LONGEST_KEY:
            raise NotFound(f"the key of its stream is longer than {_LONGEST_KEY} characters")
        if not identity and time is not None:  # the same value of the same time was told before
            identity = f"{time}/{blake2b(_SORTED.encode(value), digest_size=8).hexdigest()}"
        unit = field.unit.fill(item.said) if field.told.unit else ""
        return Told(value, key, field.told.datastream, time, item.until, unit, identity)

    def line(self, told: Told, item: Item, field: Field) -> ThingLine:
        """What ``create`` registers for a reading whose stream is missing; raises NotFound."""
        thing = self._settings.thing
        before, slash, last = told.stream.rpartition("/")
        key = self._thing_key.fill(item.said) if thing.key else before
        if not key or not (field.property or slash):
            raise NotFound(f"'{told.stream}' does not say of which thing it is: write thing/property, or set thing.key")
        where = None
        if len(self._place) == 2:
            lon, lat = (place.search(item.said) for place in self._place)
            if isinstance(lon, int | float) and isinstance(lat, int | float):
                where = {"type": "Point", "coordinates": [lon, lat]}
        try:
            name = self._thing_name.fill(item.said) if thing.name else ""
        except NotFound:
            name = ""
        stream = StreamLine(
            property=field.property or last, key=told.stream, unit=told.unit, type=field.type,
            sensor=f"source {self._name}", name=told.stream,
        )  # fmt: skip
        return ThingLine(key=key, kind=thing.kind or self._name, name=name, where=where, streams=[stream])


class _Compiled:
    """A field with its expressions compiled."""

    def __init__(self, field: Field) -> None:
        self.told = field
        self.value = expression(field.value)
        self.time = expression(field.time) if field.time else None
        self.key, self.unit = Template(field.stream), Template(field.unit)


def _scaled(value: Any, field: Field) -> float:
    number = number_of(value) if isinstance(value, str) else value if isinstance(value, int | float) else None
    number = math.nan if number is None else float(number)
    if math.isnan(number):
        raise NotFound(f"'{str(value)[:60]}' is no number, which factor and offset are for")
    return number * field.factor + field.offset


def number_of(text: str) -> float | None:
    """The number that a text is; None where it is none. What Python alone takes for one, such as 1_000, is none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def read_time(value: Any, how: TimeReading) -> int:
    """An instant [us since epoch] as a foreign system writes it; raises NotFound."""
    if how.epoch:
        return _count(value, how.epoch)
    if not isinstance(value, str):
        raise NotFound(
            f"its time is {value!r:.60}, not a text; say with epoch whether numbers are s, ms, us or ns since 1970"
            if isinstance(value, int | float) and not isinstance(value, bool)
            else "it has no time"
        )
    try:
        moment = datetime.fromisoformat(value.strip().replace(",", "."))
        if moment.tzinfo is None:
            moment = _local(moment, how.timezone)
        return from_datetime(moment)
    except (ValueError, OverflowError) as error:
        raise NotFound(f"its time '{value[:60]}' is no instant: {error}") from None


def _count(value: Any, unit: str) -> int:
    if isinstance(value, str):
        try:
            value = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotFound(f"its time is no number of {unit} since 1970")
    exact = value // 1000 if unit == "ns" and isinstance(value, int) else round(value * EPOCH_US[unit])
    if abs(exact) >= _LATEST_US:
        raise NotFound(f"{value} {unit} since 1970 is no year of ours: is epoch = '{unit}' right?")
    return int(exact)


def _local(moment: datetime, zone: str) -> datetime:
    """Local time with its zone; an hour that the clock change skips or repeats is not guessed."""
    if not zone:
        raise ValueError("it names no time zone; say which with timezone")
    first, second = (moment.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise ValueError(f"the clock change in {zone} skips or repeats it")
    return first


@lru_cache(maxsize=1024)
def expression(text: str) -> Any:
    """A compiled JMESPath expression; raises SettingsWrong."""
    try:
        return jmespath.compile(text)
    except JMESPathError as error:
        first = str(error).strip().splitlines()[0]
        raise SettingsWrong(f"'{text}' is no JMESPath expression: {first}") from None


def said_of(item: Item) -> bytes:
    """What an item says, as JSON for a dead letter."""
    time = to_datetime(item.time).isoformat() if item.time is not None else None
    return _SORTED.encode({"said": item.said, "time": time, "identity": item.identity})


def listed(found: Any, what: str) -> Iterator[Any]:
    """The items in what a foreign system sent: a list's, or the one; raises NotFound where there is none."""
    if found is None:
        raise NotFound(f"it has no {what}")
    yield from found if isinstance(found, list) else [found]
