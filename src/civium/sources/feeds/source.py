"""A source: one kind of foreign system, as data and two functions, as small as a practice.

``run`` fetches or subscribes until it is cancelled; ``decode`` reads what a foreign system posts to ``/sources/NAME``.
Either yields items, and the mapping that a city declares turns an item into readings. A kind is found by the entry
point group ``civium.sources``.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from math import isfinite
from pkgutil import iter_modules
from typing import Any, Protocol, TypeVar

import msgspec

from civium.core import CiviumError
from civium.engines.settings import SettingsWrong

GROUP = "civium.sources"
_CONNECTORS = "civium.sources.connectors"
_FROM_ENVIRONMENT = "env:"
_POSITIVE = ("max_body_mb", "every_s", "timeout_s", "keepalive_s", "sampling_ms", "queue")
_Settings = TypeVar("_Settings", bound="SourceSettings")


class SecretMissing(CiviumError):
    """The environment lacks a secret. Whoever runs the city must set it."""


class SourceTrouble(CiviumError):
    """A foreign system cannot be read. Whoever runs it, or who set the source, must act; it is tried again."""


class Unreadable(CiviumError):
    """What a foreign system sent is not what its kind says. Whoever runs that system must act."""


class Secret:
    """A secret by the name of the environment variable that holds it; never shown."""

    def __init__(self, text: str) -> None:
        if not text.startswith(_FROM_ENVIRONMENT) or len(text) == len(_FROM_ENVIRONMENT):
            raise ValueError(f"a secret stands in the environment: write '{_FROM_ENVIRONMENT}NAME'")
        self._name = text.removeprefix(_FROM_ENVIRONMENT)

    def __repr__(self) -> str:
        return f"{_FROM_ENVIRONMENT}{self._name}"

    def reveal(self) -> str:
        """The secret itself; raises SecretMissing."""
        value = os.environ.get(self._name, "")
        if not value:
            raise SecretMissing(f"the environment has no {self._name}; set it and start the city again")
        return value


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How readings of one stream are found in an item; ``value``, ``time``, ``identity`` and what stands in braces in
    ``stream`` are JMESPath expressions over what the item says."""

    stream: str = ""  # key of the stream, with {expressions}: "station/{device}/temperature"
    datastream: int = 0  # or the id of the Datastream
    value: str = "value"
    unit: str = ""  # of the foreign value, perhaps with {expressions}; empty: that of the stream
    factor: float = 1.0  # value in `unit` = factor * given + offset
    offset: float = 0.0
    time: str = ""  # empty: the time of the item
    property: str = ""  # for `create`: default the last part of the key
    type: str = "number"  # for `create`: number, count, text, truth or json


class ThingOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a thing that ``create`` registers is: its kind, and texts with {expressions} for its name and place."""

    kind: str = ""  # default: the name of the source
    key: str = ""  # default: the stream's key without its last part
    name: str = ""
    lon: str = ""  # JMESPath [degree]
    lat: str = ""


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every kind of source may be told in ``[sources.NAME]``; a kind adds its own."""

    kind: str
    url: str = ""  # where it is; empty: it posts to /sources/NAME
    fields: tuple[Field, ...] = ()
    token: Secret | None = None  # who may post to /sources/NAME
    max_body_mb: float = 4.0  # a longer message or answer is refused [MB]
    time: str = ""  # JMESPath of an item's time; empty: what the kind says
    timezone: str = ""  # of times without a zone
    epoch: str = ""  # times are numbers: s, ms, us or ns since 1970
    identity: str = ""  # JMESPath of what makes an item one and no other
    create: bool = False  # register streams that are missing
    thing: ThingOf = ThingOf()

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            number = getattr(self, name, 1.0)
            if not (isfinite(number) and number > 0):
                raise ValueError(f"{name} is {number:g}; it is more than 0, and no more than a number can say")
        if "@" in self.url.partition("://")[2].partition("/")[0]:
            raise ValueError("take the login out of url: its secret stands in the environment, as 'env:NAME'")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a foreign system said: JSON-shaped, with its ``time`` and ``until`` [us since epoch].

    ``identity`` is the foreign system's own: what bears the same is the same, however often it is told. ``field``
    limits it to one of the declared fields, where the kind asked for that one alone.
    """

    said: Any
    time: int | None = None
    until: int | None = None
    identity: str = ""
    field: Field | None = None


class Sink(Protocol):
    """Where a source puts what it took."""

    @property
    def name(self) -> str:
        """The name of the source in this city, for logins and sessions."""

    async def put(self, items: Sequence[Item], *, since: int | None = None) -> int:
        """Returns when every reading is in the log, or a dead letter: then it may be acknowledged. While the log is
        away it waits, so that a source that waits for it takes no more in.

        Readings of before ``since`` [us since epoch] are left out: they are known. Returns the time of the newest
        [us since epoch], 0 for none.
        """

    async def refuse(self, data: bytes, why: str, about: str = "") -> None:
        """Keep what cannot be read as a dead letter; ``about`` says where it came from, such as its topic."""

    async def cursor(self) -> dict[str, Any]:
        """What ``keep_cursor`` kept last, in this process or an earlier one; empty at first."""

    async def keep_cursor(self, cursor: Mapping[str, Any]) -> None:
        """Remember how far this source has come, in the log."""

    def now(self) -> int:
        """The city's time [us since epoch]."""

    def well(self) -> None:
        """It works: whatever trouble was told is over. ``put`` says so too."""

    def ill(self, why: str) -> None:
        """Something is wrong, and the rest goes on; shown until ``well``."""


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of source. At least one of ``run`` and ``decode`` is given; ``decode`` raises Unreadable.

    ``check`` raises SettingsWrong for settings that its types allow and the kind does not.
    """

    id: str
    settings: type[SourceSettings]
    run: Callable[[Any, Sink], Awaitable[None]] | None = None
    decode: Callable[[Any, bytes, Mapping[str, str]], Sequence[Item]] | None = None
    check: Callable[[Any], None] | None = None


@dataclass(frozen=True, slots=True)
class Kinds:
    """What is installed: kinds by id, and by entry point why the broken ones are."""

    found: dict[str, Source]
    broken: dict[str, str]


def entry_points() -> list[metadata.EntryPoint]:
    """The entry points of all kinds, by name; ours also where they are newer than what was installed of a checkout."""
    ours = find_spec(_CONNECTORS)
    files = iter_modules(ours.submodule_search_locations) if ours else ()
    own = [metadata.EntryPoint(file.name, f"{_CONNECTORS}.{file.name}:SOURCE", GROUP) for file in files]
    entries = {(entry.name, entry.value): entry for entry in (*metadata.entry_points(group=GROUP), *own)}
    return [entries[key] for key in sorted(entries)]


def load_kinds() -> Kinds:
    """Import every kind of source; one that cannot be loaded is told beside the others, and so is a name that two
    packages offer: to choose one would be a guess."""
    kinds = Kinds({}, {})
    seen: dict[str, str] = {}
    for entry in entry_points():
        if seen.setdefault(entry.name, entry.value) != entry.value:
            kinds.found.pop(entry.name, None)
            kinds.broken[entry.name] = f"two packages offer it: {seen[entry.name]} and {entry.value}"
            continue
        try:
            source = entry.load()
            if not isinstance(source, Source) or source.id != entry.name:
                raise TypeError(f"{entry.value} is no Source with the id '{entry.name}'")
        except Exception as error:
            kinds.broken[entry.name] = f"{type(error).__name__}: {error}"
        else:
            kinds.found[source.id] = source
    return kinds


def read_settings(name: str, raw: Mapping[str, Any], kinds: Kinds) -> tuple[Source, SourceSettings]:
    """The kind and the settings of ``[sources.NAME]``; raises SettingsWrong."""
    kind = raw.get("kind")
    source = kinds.found.get(kind) if isinstance(kind, str) else None
    if source is None:
        why = kinds.broken.get(str(kind), "")
        why = f" cannot be loaded: {why}" if why else f" is not one of {', '.join(sorted(kinds.found))}"
        raise SettingsWrong(f"[sources.{name}]: kind '{kind or ''}'{why}")
    settings = convert(name, raw, source.settings)
    if not settings.url and source.decode is None:
        raise SettingsWrong(f"[sources.{name}]: url is missing: where is it?")
    if settings.url and source.run is None:
        raise SettingsWrong(f"[sources.{name}]: a source of this kind posts to /sources/{name}; leave url out")
    if not settings.url and settings.token is None:
        raise SettingsWrong(f"[sources.{name}]: token is missing: write token = 'env:NAME', with the secret there")
    if source.check is not None:
        try:
            source.check(settings)
        except SettingsWrong as error:
            raise SettingsWrong(f"[sources.{name}]: {error}") from None
    return source, settings


def convert(name: str, raw: Mapping[str, Any], to: type[_Settings]) -> _Settings:
    """``raw`` as settings of a kind; raises SettingsWrong."""
    try:
        settings = msgspec.convert(raw, to, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise SettingsWrong(f"[sources.{name}]: {error}") from None
    for field in settings.fields:
        if bool(field.stream) == bool(field.datastream):
            raise SettingsWrong(f"[sources.{name}]: each field names a stream by its key, or by its datastream id")
        if not 0 <= field.datastream < 2**53:
            raise SettingsWrong(f"[sources.{name}]: {field.datastream} is no id of a Datastream")
    return settings


def _secret(kind: type, text: Any) -> Secret:
    if kind is not Secret or not isinstance(text, str):
        raise NotImplementedError(kind)
    return Secret(text)
