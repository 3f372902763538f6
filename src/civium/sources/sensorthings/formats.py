"""Other formats of an answer: dataArray, CSV and GeoJSON, written block by block, so that any length fits in memory.

Each block is read for itself, by key, as the pages of JSON are: no transaction stays open for a slow reader.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import msgspec

from civium.core import InputRefused
from civium.engines.catalog import COMPLEX
from civium.sources.sensorthings.entities import Writer, choice, part
from civium.sources.sensorthings.fetch import DEFAULT_TOP
from civium.sources.sensorthings.model import OBSERVATIONS, UNIT_COLUMNS, Entity, target
from civium.sources.sensorthings.moment import Row
from civium.sources.sensorthings.place import Place
from civium.sources.sensorthings.tree import Query

FORMATS = {
    "dataArray": "application/json",
    "CSV": "text/csv; charset=utf-8",
    "GeoJSON": "application/geo+json",
}
_BLOCK = 10_000  # entities that are read at a time
_ALL = 1 << 62
_COMPONENTS = ("id", "phenomenonTime", "resultTime", "result")
_SELDOM = ("resultQuality", "validTime", "parameters")
Opened = Callable[[], AbstractContextManager[Writer]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that is sent piece by piece."""

    media_type: str
    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class _Block:
    """Some entities: their rows, and the same as JSON objects; ``following`` is the token of what comes next, and
    ``multi`` are the MultiDatastreams among the streams of Observations."""

    rows: Sequence[Row]
    written: Sequence[dict[str, Any]]
    following: str
    count: int | None = None
    multi: frozenset[int] = frozenset()


def stream(place: Place, query: Query, opened: Opened, first: Writer, following: Callable[[str], str]) -> Streamed:
    """The entities of a place in the format that the query asks for.

    The first block is read at once, from ``first``; so what is wrong is refused before anything was sent.
    """
    name = query.result_format
    if name == "dataArray" and (place.entity.table is not OBSERVATIONS or place.row is not None or query.expand):
        raise InputRefused("$resultFormat=dataArray works on collections of Observations, without $expand")
    write: Writes = {"dataArray": _data_array, "CSV": _csv, "GeoJSON": _geojson}[name]
    blocks = _blocks(place, query, opened, first)
    head = next(blocks)

    def again() -> Iterator[_Block]:
        yield head
        yield from blocks

    return Streamed(FORMATS[name], write(place.entity, query, first.base_url, again(), following))


def _blocks(place: Place, query: Query, opened: Opened, first: Writer) -> Iterator[_Block]:
    """Blocks of entities until there are as many as were asked for: of CSV, that has no links, all unless ``$top``."""
    if place.row is not None:
        yield _Block([place.row], first.write(place.entity, [place.row], query), "")
        return
    left = query.top if query.top is not None else _ALL if query.result_format == "CSV" else DEFAULT_TOP
    block = _read(first, place, query, left)
    yield block
    while (left := left - len(block.rows)) > 0 and block.following:
        with opened() as writer:
            more = replace(query, skip=0, count=False, skiptoken=block.following)
            block = _read(writer, place, more, left)
        yield block


def _read(writer: Writer, place: Place, query: Query, left: int) -> _Block:
    group = writer.source.page(place.entity, replace(query, top=min(left, _BLOCK)), place.behind)
    multi: frozenset[int] = frozenset()
    if place.entity.table is OBSERVATIONS:
        kinds = writer.source.ground.catalog.streams.value_type
        multi = frozenset(row["stream"] for row in group.rows if kinds[row["stream"]] == COMPLEX)
    written = writer.write(place.entity, group.rows, query)
    return _Block(group.rows, written, group.following, group.count, multi)


Writes = Callable[[Entity, Query, str, Iterator[_Block], Callable[[str], str]], Iterator[bytes]]


def _data_array(
    _: Entity, query: Query, base: str, blocks: Iterator[_Block], following: Callable[[str], str]
) -> Iterator[bytes]:
    """Rows of each Datastream together (OGC 18-088, 13.1), as long as one follows the other."""
    asked = [name for name in query.select if "/" not in name] or None
    separator, token = b"", ""
    for place, block in enumerate(blocks):
        if place == 0:
            yield b"{" + (b"" if block.count is None else b'"@iot.count":%d,' % block.count) + b'"value":['
        both = zip(block.rows, block.written, strict=True)
        for stream_id, group in groupby(both, key=lambda one: one[0]["stream"]):
            written = [entity for _, entity in group]
            seldom = tuple(name for name in _SELDOM if any(name in entity for entity in written))
            names = asked or [*_COMPONENTS, *seldom]
            own = ["@iot.id" if name == "id" else name for name in names]
            rows = [[entity.get(name) for name in own] for entity in written]
            kind = "MultiDatastream" if stream_id in block.multi else "Datastream"
            told = {
                f"{kind}@iot.navigationLink": f"{base}/{kind}s({stream_id})",
                "components": names,
                "dataArray@iot.count": len(rows),
                "dataArray": rows,
            }
            yield separator + msgspec.json.encode(told)
            separator = b","
        token = block.following
    yield b"]" + (b',"@iot.nextLink":' + msgspec.json.encode(following(token)) if token else b"") + b"}"


def _csv(entity: Entity, query: Query, _b: str, blocks: Iterator[_Block], _f: Callable[[str], str]) -> Iterator[bytes]:
    """A line for each entity, or for each of those that it is expanded to."""
    flat = _flat(entity, query)
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(["/".join(column) for column in flat.columns])
    for block in blocks:
        for written in block.written:
            out.writerows(flat.lines(written))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


@dataclass(frozen=True, slots=True)
class _Flat:
    """How an entity becomes cells: those behind its own ``paths``, then those of each that it is expanded to."""

    paths: list[tuple[str, ...]]
    expanded: list[tuple[str, "_Flat"]]

    @property
    def columns(self) -> list[tuple[str, ...]]:
        """The names of the cells."""
        return [*self.paths, *((name, *column) for name, inner in self.expanded for column in inner.columns)]

    def lines(self, written: dict[str, Any]) -> list[list[Any]]:
        """The cells of each line."""
        own = [_cell(written.get(path[0])) if len(path) == 1 else _cell(_behind(written, path)) for path in self.paths]
        lines = [own]
        for name, inner in self.expanded:
            found = written[name]
            behind = found if isinstance(found, list) else [found] if found else []
            more = [line for one in behind for line in inner.lines(one)] or [[None] * len(inner.columns)]
            lines = [[*one, *other] for one in lines for other in more]
        return lines


def _flat(entity: Entity, query: Query) -> _Flat:
    told = choice(entity, query)
    paths: list[tuple[str, ...]] = [("@iot.id",)] if told.ids else []
    for field in told.fields:
        if field.name in told.keys:
            paths += [(field.name, *path) for path in told.keys[field.name]]
        elif field.kind == "unit":
            paths += [(field.name, name) for name in UNIT_COLUMNS]
        else:
            paths.append((field.name,))
    links = ((entity.link(expand.link), expand.query) for expand in query.expand)
    return _Flat(paths, [(link.name, _flat(target(link), inner)) for link, inner in links if link is not None])


def _behind(written: dict[str, Any], path: Sequence[str]) -> Any:
    try:
        return part(written, path)
    except KeyError:
        return None


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return msgspec.json.encode(value).decode()


def _geojson(
    entity: Entity, query: Query, _: str, blocks: Iterator[_Block], following: Callable[[str], str]
) -> Iterator[bytes]:
    """A Feature for each entity; its geometry is its own, or the first of what it is expanded to."""
    separator, token = b"", ""
    for place, block in enumerate(blocks):
        if place == 0:
            count = b"" if block.count is None else b'"@iot.count":%d,' % block.count
            yield b'{"type":"FeatureCollection",' + count + b'"features":['
        for row, written in zip(block.rows, block.written, strict=True):
            geometry = _geometry(entity, query, written)
            flat: dict[str, Any] = {}
            _flatten(written, "", flat)
            feature = {"type": "Feature", "id": row["id"], "geometry": geometry, "properties": flat}
            yield separator + msgspec.json.encode(feature)
            separator = b","
        token = block.following
    yield b"]" + (b',"@iot.nextLink":' + msgspec.json.encode(following(token)) if token else b"") + b"}"


def _geometry(entity: Entity, query: Query, written: dict[str, Any]) -> Any:
    """The geometry of what was written, which is taken out of it."""
    for field in (*entity.fields, *entity.derived):
        value = written.get(field.name)
        if field.kind in ("geometry", "area") and isinstance(value, dict):
            inner = value.get("geometry") if value.get("type") == "Feature" else value
            if isinstance(inner, dict) and ("coordinates" in inner or "geometries" in inner):
                del written[field.name]
                return inner
    for expand in query.expand:
        link, found = entity.link(expand.link), written.get(expand.link)
        for one in found if isinstance(found, list) else [found] if found else []:
            inner = _geometry(target(link), expand.query, one) if link else None
            if inner is not None:
                return inner
    return None


def _flatten(value: Any, name: str, out: dict[str, Any]) -> None:
    """Plain values under names such as ``Locations/0/name``; links are left out."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if not key.endswith(("@iot.navigationLink", "@iot.selfLink", "@iot.nextLink")):
                _flatten(inner, f"{name}/{key}" if name else key, out)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for place, inner in enumerate(value):
            _flatten(inner, f"{name}/{place}", out)
    else:
        out[name] = value
