"""Answers a GET of SensorThings: from the path and query of a URL to the JSON of entities, or to another format."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any
from urllib.parse import unquote

import msgspec
from sqlalchemy import Connection, Engine

from civium.core import InputRefused
from civium.engines.catalog import Catalog
from civium.engines.deadline import QueryTooLong, in_catalogue
from civium.sources.sensorthings.conformance import CONFORMANCE, MQTT
from civium.sources.sensorthings.entities import Writer, part
from civium.sources.sensorthings.fetch import Group, Source
from civium.sources.sensorthings.formats import FORMATS, Streamed, stream
from civium.sources.sensorthings.ground import Ground
from civium.sources.sensorthings.model import ENTITIES, OBSERVATIONS, Entity
from civium.sources.sensorthings.moment import LakeMoment, Moment, Punctual, TimedReader
from civium.sources.sensorthings.place import Place, resolve
from civium.sources.sensorthings.query import parse_query
from civium.sources.sensorthings.sight import Sight
from civium.sources.sensorthings.tree import Query, query_parts

Answer = dict[str, Any] | str | Streamed | None
# Options that an entity by its id takes; those of pages mean nothing there.
_OF_ONE = {"select", "expand", "top", "skip", "count"}


@dataclass(frozen=True, slots=True)
class Library:
    """What a GET reads from, and under which address it is known; ``now`` [us since epoch].

    ``within`` [s]: what is read while it is open once may take no longer; past that QueryTooLong is raised.
    """

    catalog: Catalog
    observations: TimedReader
    base_url: str
    now: int
    moment: Moment | None = None
    record: Engine | None = None
    within: float = math.inf
    sight: Sight | None = None

    @property
    def sees(self) -> Callable[[Entity, int], bool] | None:
        """Whether the caller may know of an entity that is there; None: of every one."""
        sight = self.sight
        if sight is None:
            return None
        moment = self.moment or LakeMoment(self.observations)

        def sees(entity: Entity, identity: int) -> bool:
            if entity.table is OBSERVATIONS or entity.name == "Task":
                return True  # neither is referred to
            return bool(sight.seen(entity.name, entity.rows, [identity], moment, self.catalog))

        return sees

    @contextmanager
    def opened(self) -> Iterator[Writer]:
        """One state of the catalogue, to read from."""
        newest = len(self.catalog.streams.exists) - 1
        deadline = time.monotonic() + self.within
        observations = Punctual(self.observations, deadline)
        moment = self.moment or LakeMoment(observations)
        with ExitStack() as stack:
            record = None if self.record is None else cache(partial(_opened, stack, self.record, deadline))
            connection = stack.enter_context(self.catalog.engine.begin())
            stack.enter_context(in_catalogue(connection, deadline))
            ground = Ground(self.catalog, connection, observations, moment, self.now, newest, record, self.sight)
            yield Writer(Source(ground), self.base_url)


def read(
    path: str,
    query: str,
    catalog: Catalog,
    observations: TimedReader,
    base_url: str,
    now: int,
    moment: Moment | None = None,
    record: Engine | None = None,
    within: float = math.inf,
    mqtt: Sequence[str] = (),
    sight: Sight | None = None,
) -> Answer:
    """Answer what stands behind the service root: ``path`` (``Things(1)/Datastreams``) and ``query`` (``$top=5``).

    Both as they came, percent-encoded; ``base_url`` is the address of the service root; ``now`` [us since epoch];
    ``moment`` is what is live (without it the lake is asked); ``record`` is the database of the record's projection;
    ``sight`` is what the caller may see (None: everything);
    ``mqtt`` are addresses of brokers. Gives a JSON object, the text of a ``$value``, what is sent piece by piece, or
    None where there is nothing to tell (204). Raises ``InputRefused``: 400 for what is wrong in the query, 404, 413 for
    what is too much to answer ``within`` so long [s], 414, and 501 for what cannot be done.
    """
    base_url = base_url.rstrip("/")
    segments = [unquote(segment) for segment in path.strip("/").split("/") if segment]
    options = parse_query(query)
    if not segments:
        _only(options, set(), "the service root")
        return _root(base_url, mqtt)
    library = Library(catalog, observations, base_url, now, moment, record, within, sight)
    try:
        return _answer(path, query, segments, options, library)
    except QueryTooLong as error:
        why = f"this takes more than an answer may, which is {within:g} s ({error})"
        how = "narrow $filter to a time or a Datastream, ask for less by $top, or leave out $orderby or $skip"
        raise InputRefused(f"{why}: {how}", status=413) from None


def _answer(path: str, query: str, segments: Sequence[str], options: Query, library: Library) -> Answer:
    base_url = library.base_url
    with library.opened() as writer:
        place = resolve(segments, writer.source)
        if place.field is not None or place.ending == "$value":
            _only(options, set(), "a property")
            return _property(place, writer)
        if place.ending:
            _only(options, {"filter", "orderby", "top", "skip", "skiptoken", "count"}, "$ref")
        if place.row is not None:
            _only(options, set() if place.ending else _OF_ONE, "one entity")
        if options.result_format:
            return stream(place, options, library.opened, writer, _following(base_url, path, query))
        if place.row is not None:
            [entity] = writer.write(place.entity, [place.row], options)
            return {"@iot.selfLink": writer.self_link(place.entity, place.row)} if place.ending else entity
        group = writer.source.page(place.entity, options, place.behind)
        return _collection(place, group, writer, _following(base_url, path, query), options)


def _opened(stack: ExitStack, engine: Engine, deadline: float) -> Connection:
    connection = stack.enter_context(engine.connect())
    stack.enter_context(in_catalogue(connection, deadline))
    return connection


def _root(base_url: str, mqtt: Sequence[str]) -> dict[str, Any]:
    sets = [{"name": entity.plural, "url": f"{base_url}/{entity.plural}"} for entity in ENTITIES]
    where = {one: {"endpoints": list(mqtt)} for one in MQTT}
    return {"value": sets, "serverSettings": {"conformance": list(CONFORMANCE), **where}}


def _only(options: Query, allowed: set[str], of: str) -> None:
    """Refuse options that mean nothing there."""
    given = set(query_parts(options)) - allowed
    if given:
        raise InputRefused(f"${min(given)} does not work on {of}")
    if options.result_format and of in ("the service root", "a property", "$ref"):
        raise InputRefused(f"$resultFormat does not work on {of}; it can be asked of entities: {', '.join(FORMATS)}")


def _property(place: Place, writer: Writer) -> Answer:
    assert place.row is not None
    assert place.field is not None
    [row] = writer.derive(place.entity, [place.row], [place.field])
    value = writer.value(place.field, row)
    name = place.field.name
    if place.keys:
        try:
            value, name = part(value, place.keys), _last(place)
        except KeyError as missing:
            raise InputRefused(f"{name} holds no {missing.args[0]!r} there", status=404) from None
    if value is None or (value == {} and not place.field.mandatory):
        return None
    if not place.ending:
        return {name: value}
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _last(place: Place) -> str:
    """The last name of what is inside a property, with the places in arrays that follow it: ``row[1]``."""
    assert place.field is not None
    name = place.field.name
    for key in place.keys:
        name = key if isinstance(key, str) else f"{name}[{key}]"
    return name


class _Following:
    """The address of the next page of a URL."""

    def __init__(self, url: str, query: str) -> None:
        dropped = ("$skip", "$skiptoken")
        self._kept = [one for one in query.split("&") if one and unquote(one.partition("=")[0]).lower() not in dropped]
        self._url = url

    def __call__(self, token: str) -> str:
        return f"{self._url}?{'&'.join([*self._kept, f'$skiptoken={token}'])}"


def _following(base_url: str, path: str, query: str) -> _Following:
    return _Following(f"{base_url}/{path.strip('/')}", query)


def _collection(place: Place, group: Group, writer: Writer, following: _Following, query: Query) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if group.count is not None:
        answer["@iot.count"] = group.count
    if group.following:
        answer["@iot.nextLink"] = following(group.following)
    if place.ending:
        answer["value"] = [{"@iot.selfLink": writer.self_link(place.entity, row)} for row in group.rows]
    else:
        answer["value"] = writer.write(place.entity, group.rows, replace(query, skip=0))
    return answer
