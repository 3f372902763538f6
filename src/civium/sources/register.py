"""The register door: things with their streams and actuators in bulk, one JSON object a line.

A line: ``{"key", "kind", "name", "where": GeoJSON, "facts": {}, "streams": [{"key", "property", "unit", ...}],
"actuators": [{"key", "name", "protocol", "address", "facts"}]}``. Keys are the owner's stable addresses: a line whose
keys are known and whose content is the same is ``unchanged``; other content changes what is there, but for what a
stream measures and whose it is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from civium.core import Access, InputRefused, RowRefusal
from civium.core.observations import OBSERVATION
from civium.core.practice import Estimate
from civium.engines.catalog import Catalog
from civium.engines.catalog.streams import VALUE_TYPES
from civium.sources.batch import Batch, build
from civium.sources.changes import Edits, Rows
from civium.sources.geojson import middle
from civium.sources.units import to_si

_GEOJSON = "application/geo+json"
_PREFIX = next(iter(VALUE_TYPES)).rpartition("OM_")[0]
_TYPES = {
    name: f"{_PREFIX}OM_{type}"
    for name, type in {
        "number": "Measurement", "text": "CategoryObservation", "count": "CountObservation",
        "truth": "TruthObservation", "json": "Observation",
    }.items()
}  # fmt: skip
_TABLES = (
    "things", "locations", "thing_locations", "historical_locations", "historical_location_locations", "sensors",
    "observed_properties", "datastreams", "actuators",
)  # fmt: skip
_NO_IDS = ("thing_locations", "historical_location_locations")
# What a key stands for: whoever reads what is there relies on it.
_FIXED = {
    "thing": "thing", "property": "property", "observation_type": "type", "si_unit": "quantity",
}  # fmt: skip


class StreamLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One stream of a thing; ``type`` is number, count, text, truth or json."""

    property: str
    key: str = ""  # default: <key of the thing>/<property>
    unit: str = ""
    name: str = ""
    type: str = "number"
    sensor: str = ""
    access: Access = Access.OPEN
    personal: bool = False
    nan_allowed: bool = False
    properties: dict[str, Any] = {}


class ActuatorLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One actuator of a thing; ``address`` is the URL of a webhook, and empty for MQTT."""

    key: str
    name: str = ""
    protocol: str = "mqtt"
    address: str = ""
    facts: dict[str, Any] = {}


class ThingLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One thing with all that hangs on it."""

    key: str
    kind: str
    name: str = ""
    where: dict[str, Any] | None = None
    facts: dict[str, Any] = {}
    streams: list[StreamLine] = []
    actuators: list[ActuatorLine] = []


@dataclass(slots=True)
class Registered:
    """Ids by key, and how many lines brought something new, only changed what was there, or were known."""

    things: dict[str, int] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)
    actuators: dict[str, int] = field(default_factory=dict)
    created: int = 0
    updated: int = 0
    unchanged: int = 0


_DECODER = msgspec.json.Decoder(ThingLine)


def decode_lines(body: bytes) -> list[ThingLine]:
    """Decode JSON Lines; raises InputRefused naming every line that is wrong."""
    lines: list[ThingLine] = []
    wrong: list[RowRefusal] = []
    for number, line in enumerate(body.splitlines()):
        if not line.strip():
            continue
        try:
            lines.append(_DECODER.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            wrong.append(RowRefusal(number, str(error)))
    if wrong:
        raise InputRefused("nothing was registered", tuple(wrong))
    return lines


def plan(
    lines: Sequence[ThingLine], answer: Registered, now: int, *, known_things: bool = False
) -> Callable[[Catalog], Edits]:
    """A plan for ``Changes.make``: the rows of what is new, and what changes; fills ``answer`` with ids by key.

    With ``known_things`` a thing whose key is known is taken as it is, whatever its line says.
    """

    def new(catalog: Catalog) -> Edits:
        # A plan may run twice (the log moved on in between); the second run starts afresh.
        answer.things, answer.streams, answer.actuators = {}, {}, {}
        answer.created = answer.updated = answer.unchanged = 0
        return _Planner(catalog, answer, now, known_things=known_things).plan(lines)

    return new


class _Planner:
    """Rows for one registration, with ids that follow the catalogue's."""

    def __init__(self, catalog: Catalog, answer: Registered, now: int, *, known_things: bool) -> None:
        self.catalog, self.answer, self.now, self.known_things = catalog, answer, now, known_things
        self.rows: Rows = {name: [] for name in _TABLES}
        self.next = {name: catalog.next_id(name) for name in _TABLES if name not in _NO_IDS}
        self.added = self.changed = 0
        self.updates: Rows = {name: [] for name in ("things", "datastreams", "actuators")}
        self.moved: dict[int, int] = {}  # the new location of things that were there
        self.properties: dict[str, int] = {}
        self.sensors: dict[str, int] = {}
        self.known: dict[str, dict[str, dict[str, Any]]] = {}

    def plan(self, lines: Sequence[ThingLine]) -> Edits:
        stream_keys = [[s.key or f"{line.key}/{s.property}" for s in line.streams] for line in lines]
        keys = {
            "things": [line.key for line in lines],
            "datastreams": [key for some in stream_keys for key in some],
            "actuators": [a.key for line in lines for a in line.actuators],
        }
        self.known = {table: self.catalog.rows_by_key(table, some) for table, some in keys.items()}
        named = sorted({s.property for line in lines for s in line.streams})
        self.properties = self.catalog.ids_by_key("observed_properties", named)
        sensors = sorted({_sensor_key(line, s) for line in lines for s in line.streams})
        self.sensors = self.catalog.ids_by_key("sensors", sensors)
        wrong = _twice(lines, stream_keys) if any(len(set(some)) < len(some) for some in keys.values()) else []
        for number, (line, own) in enumerate(zip(lines, stream_keys, strict=True)):
            try:
                self._line(line, own)
            except InputRefused as error:
                wrong.append(RowRefusal(number, error.why))
        if wrong:
            raise InputRefused("nothing was registered", tuple(sorted(wrong, key=lambda refusal: refusal.row)))
        return Edits(self.rows, self.updates, self._left())

    def _line(self, line: ThingLine, stream_keys: list[str]) -> None:
        before, altered = self.added, self.changed
        thing = self.answer.things[line.key] = self._thing(line)
        for stream, key in zip(line.streams, stream_keys, strict=True):
            row = self._stream(line, stream, key, thing)
            self.answer.streams[key] = self._find_or_add("datastreams", "stream", row)
        for actuator in line.actuators:
            if actuator.protocol not in ("mqtt", "webhook", "v2x"):
                raise InputRefused(
                    f"actuator '{actuator.key}': protocol '{actuator.protocol}' is not mqtt, webhook or v2x"
                )
            row = {
                "key": actuator.key, "thing": thing, "name": actuator.name or actuator.key, "kind": line.kind,
                "protocol": actuator.protocol, "address": actuator.address, "facts": _json(actuator.facts),
            }  # fmt: skip
            self.answer.actuators[actuator.key] = self._find_or_add("actuators", "actuator", row)
        if self.added > before:
            self.answer.created += 1
        elif self.changed > altered:
            self.answer.updated += 1
        else:
            self.answer.unchanged += 1

    def _thing(self, line: ThingLine) -> int:
        if self.known_things and (known := self.known["things"].get(line.key)) is not None:
            return int(known["id"])
        lon, lat = _point(line.where)
        name, known = line.name or line.key, self.known["things"].get(line.key)
        if known is not None and line.where is None:  # it says nothing of the place
            lon, lat = known["lon"], known["lat"]
        row = {
            "key": line.key, "kind": line.kind, "name": name, "properties": _json(line.facts), "lon": lon, "lat": lat,
        }  # fmt: skip
        identity = self._find_or_add("things", "thing", row)
        if line.where is not None and (known is None or (known["lon"], known["lat"]) != (lon, lat)):
            row = {"name": name, "encoding_type": _GEOJSON, "location": _json(line.where), "lon": lon, "lat": lat}
            where = self._add("locations", row)
            self.rows["thing_locations"].append({"thing": identity, "location": where, "time": self.now})
            if known is not None:
                self.moved[identity] = where
                history = self.next["historical_locations"]
                self.next["historical_locations"] = history + 1
                told = {"id": history, "thing": identity, "time": self.now}
                self.rows["historical_locations"].append(told)
                link = {"historical_location": history, "location": where}
                self.rows["historical_location_locations"].append(link)
        return identity

    def _left(self) -> Rows:
        """Where things were that have moved: they are there no more."""
        stays = self.catalog.stays_of(sorted(self.moved)) if self.moved else []
        return {"thing_locations": stays} if stays else {}

    def _stream(self, line: ThingLine, stream: StreamLine, key: str, thing: int) -> dict[str, Any]:
        if not stream.property:
            raise InputRefused(f"stream '{key}' has no property")
        if stream.type not in _TYPES:
            raise InputRefused(f"stream '{key}': type '{stream.type}' is not one of {', '.join(_TYPES)}")
        unit = to_si(stream.unit, "")
        if stream.property not in self.properties:
            row = {"name": stream.property, "definition": f"urn:civium:property:{stream.property}"}
            self.properties[stream.property] = self._add("observed_properties", row)
        sensor = _sensor_key(line, stream)
        if sensor not in self.sensors:
            row = {"key": sensor, "name": sensor, "encoding_type": "text/plain"}
            self.sensors[sensor] = self._add("sensors", row)
        return {
            "key": key, "thing": thing, "sensor": self.sensors[sensor], "property": self.properties[stream.property],
            "name": stream.name or f"{line.name or line.key} {stream.property}",
            "observation_type": _TYPES[stream.type],
            "unit_name": stream.unit or None, "unit_symbol": stream.unit or None, "unit_definition": None,
            "si_unit": unit.si_unit, "factor": unit.factor, "offset": unit.offset,
            "properties": _json(stream.properties), "access": stream.access.value, "personal": stream.personal,
            "nan_allowed": stream.nan_allowed,
        }  # fmt: skip

    def _find_or_add(self, table: str, noun: str, row: dict[str, Any]) -> int:
        known = self.known[table].get(row["key"])
        if known is None:
            return self._add(table, row)
        other = {name: value for name, value in row.items() if known[name] != value}
        free = {"thing"} if known.get("thing", 0) is None else set()  # an actuator of which nothing may be asked yet
        if fixed := sorted(other.keys() & _FIXED.keys() - free):
            what = ", ".join(_FIXED[name] for name in fixed)
            raise InputRefused(f"{noun} '{row['key']}' is registered already with another {what}: give it another key")
        if other:
            self.updates[table].append({"id": known["id"], **other})
            self.changed += 1
        return int(known["id"])

    def _add(self, table: str, row: dict[str, Any]) -> int:
        identity = row["id"] = self.next[table]
        self.next[table] = identity + 1
        self.rows[table].append(row)
        self.added += table in self.updates  # what has a key; sensors and places come with it
        return identity


def _sensor_key(line: ThingLine, stream: StreamLine) -> str:
    return stream.sensor or f"{line.kind} {stream.property}"


def _twice(lines: Sequence[ThingLine], stream_keys: Sequence[list[str]]) -> list[RowRefusal]:
    """The lines that hold a key which was there before."""
    seen: set[tuple[str, str]] = set()
    wrong = []
    for number, (line, streams) in enumerate(zip(lines, stream_keys, strict=True)):
        actuators = (("actuator", a.key) for a in line.actuators)
        for noun, key in (("thing", line.key), *(("stream", key) for key in streams), *actuators):
            if (noun, key) in seen:
                wrong.append(RowRefusal(number, f"the key '{key}' of a {noun} stands twice in what was sent"))
                break
            seen.add((noun, key))
    return wrong


def estimate_lines(
    practice: str, makes: Iterable[tuple[int, str, str, str]], access: Access, personal: bool
) -> Callable[[Catalog], Rows]:
    """A plan for the streams of a practice's estimates: tuples of thing, property, unit and description;
    and how they are guarded."""

    def missing(catalog: Catalog) -> Rows:
        rows: Rows = {"sensors": [], "observed_properties": [], "datastreams": []}
        wanted = {f"{practice}/{name}/{thing}": (thing, name, unit, text) for thing, name, unit, text in makes}
        known = catalog.ids_by_key("datastreams", list(wanted))
        sensors = catalog.ids_by_key("sensors", [practice])
        properties = catalog.ids_by_key("observed_properties", sorted({name for _, name, _, _ in wanted.values()}))
        if practice not in sensors:
            sensors[practice] = catalog.next_id("sensors")
            rows["sensors"].append({"id": sensors[practice], "key": practice, "name": f"practice {practice}",
                                    "encoding_type": "text/plain"})  # fmt: skip
        there = catalog.last("things", sorted({thing for thing, _, _, _ in wanted.values()}))
        for key, (thing, name, unit, text) in wanted.items():
            if key in known or thing not in there or there[thing]["gone"]:
                continue
            if name not in properties:
                properties[name] = catalog.next_id("observed_properties") + len(rows["observed_properties"])
                rows["observed_properties"].append({"id": properties[name], "name": name, "description": text,
                                                    "definition": f"urn:civium:property:{name}"})  # fmt: skip
            rows["datastreams"].append({
                "id": catalog.next_id("datastreams") + len(rows["datastreams"]), "key": key, "thing": thing,
                "sensor": sensors[practice], "property": properties[name], "name": f"{name} by {practice}",
                "description": text, "observation_type": _TYPES["number"], "unit_name": unit,
                "unit_symbol": unit, "si_unit": unit, "nan_allowed": False, "access": str(access), "personal": personal,
            })  # fmt: skip
        return rows if rows["datastreams"] else {}

    return missing


def estimate_rows(estimates: Sequence[tuple[int, Estimate]], decision: str, now: int) -> Batch:
    """A decision's estimates, each with its stream, as observations; made ``now`` [us since epoch]."""
    told = [one for _, one in estimates]
    instant = OBSERVATION.field("time").type
    bounds = [None if e.lower is None and e.upper is None else {"lower": e.lower, "upper": e.upper} for e in told]
    columns = {
        "stream": pa.array([stream for stream, _ in estimates], pa.int64()),
        "time": pa.array([e.time for e in told], pa.int64()).cast(instant),
        "until": pa.array([e.until for e in told], pa.int64()).cast(instant),
        "made": pa.array([now] * len(told), pa.int64()).cast(instant),
        "value": pa.array([e.value for e in told], pa.float64()),
        "params": pa.array([b and msgspec.json.encode(b).decode() for b in bounds], pa.string()),
        "parent": pa.array([decision] * len(told), pa.string()),
    }
    return build(columns, ())


def _point(where: dict[str, Any] | None) -> tuple[float | None, float | None]:
    """Longitude and latitude [degree] of a GeoJSON geometry: a point's own, else the middle of its bounds."""
    if where is None:
        return None, None
    try:
        point = middle(where)
    except ValueError as error:
        raise InputRefused(f"'where' is no GeoJSON geometry: {error}") from None
    if point is None:
        raise InputRefused("'where' is an empty geometry")
    return point


def _json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value, order="sorted").decode() if value else "{}"
