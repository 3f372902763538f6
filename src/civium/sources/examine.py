"""What every door demands of an observation before it is accepted, for whole columns at once."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from civium.core import MICROSECONDS, InputRefused, RowRefusal, to_datetime
from civium.core.view import column
from civium.engines.catalog import COMPLEX, JSON, Catalog, StreamIndex
from civium.engines.catalog.components import Components
from civium.engines.catalog.places import Places
from civium.engines.catalog.streams import COUNT, NUMBER, TEXT, TRUTH
from civium.engines.catalog.tables import COMPONENTS, DATASTREAMS
from civium.sources.batch import Batch
from civium.sources.units import to_si

_YEAR_1, _YEAR_10000 = -62_135_596_800 * MICROSECONDS, 253_402_300_800 * MICROSECONDS


NO_FEATURE = "no such FeatureOfInterest"
NO_STREAM = "no Datastream {stream} is registered"


class Known(Protocol):
    """What exists: the catalogue, or what it will be when a change is made."""

    @property
    def streams(self) -> StreamIndex: ...

    @property
    def places(self) -> Places: ...

    @property
    def components(self) -> Components: ...

    @property
    def features_gone(self) -> Set[int]: ...

    def next_id(self, table: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Planned:
    """The catalogue as it will be when some rows are added."""

    catalog: Catalog
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    streams: StreamIndex
    places: Places
    components: Components
    features_gone: Set[int]

    @classmethod
    def of(cls, catalog: Catalog, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> "Planned":
        """``rows`` by table, with their ids."""
        new = rows.get(DATASTREAMS.name, ())
        streams = catalog.streams.extended(new, catalog.defaults(DATASTREAMS.name)) if new else catalog.streams
        components = catalog.components.extended(rows.get(COMPONENTS.name, ()))
        return cls(catalog, rows, streams, catalog.places, components, catalog.features_gone)

    def next_id(self, table: str) -> int:
        """The lowest id that is free then."""
        return self.catalog.next_id(table) + len(self.rows.get(table, ()))


def examine(batch: Batch, catalog: Known, now: int, future_s: float) -> Batch:
    """Refuse rows that must not be accepted and convert the values of the others to SI.

    Refused: an unknown stream or feature, a result of another type than the stream's, a missing or NaN result where
    the stream does not allow it (one of any JSON does), an infinite one, a unit that does not fit the stream's,
    ``made`` more than ``future_s`` [s] after ``now`` [us since epoch], an interval that ends before it begins, a time
    outside the years 1 to 9999. A row that names no feature gets that of the place where its thing is, if it has one.
    """
    table, index = batch.table, catalog.streams
    count = table.num_rows
    why: dict[int, str] = {}
    stream = column(table, "stream").astype(np.int64)
    known = index.known(stream)
    at = np.where(known, stream, 0)
    kind = index.value_type[at]
    value = column(table, "value").astype(np.float64)
    has_value, has_text, has_json = (_given(table, name) for name in ("value", "text", "json"))
    number = (kind == NUMBER) | (kind == COUNT)
    missing = ~(has_value | has_text | has_json) | (has_value & np.isnan(value))

    def refuse(rows: NDArray[np.bool_], reason: str) -> None:
        if not rows.any():
            return
        for row in np.flatnonzero(rows):
            why.setdefault(int(row), reason.format(stream=int(stream[row]), value=value[row]))

    refuse(~known, NO_STREAM)
    refuse(known & number & (has_text | (has_json & ~has_value)), "Datastream {stream} takes numbers")
    refuse(known & (kind == TEXT) & ~has_text & ~missing, "Datastream {stream} takes text")
    refuse(known & (kind == TRUTH) & ~has_json & ~missing, "Datastream {stream} takes true or false")
    for row in np.flatnonzero(known & (kind == COMPLEX) & ~missing).tolist():
        told, types = table.column("json")[row].as_py(), catalog.components.of(int(stream[row]))
        if reason := _no_values(told, types, null=bool(index.nan_allowed[stream[row]])):
            why.setdefault(row, f"MultiDatastream {stream[row]} {reason}")
    refuse(
        known & missing & (kind != JSON) & ~index.nan_allowed[at],
        "Datastream {stream} does not allow a missing or NaN result",
    )
    refuse(known & np.isinf(value), "an infinite result")
    with np.errstate(invalid="ignore"):
        refuse(
            (kind == COUNT) & has_value & (value != np.floor(value)), "Datastream {stream} counts; {value} is no count"
        )
    for name in ("time", "made"):
        refuse(_nameless(column(table, name).astype(np.int64)), f"its {name} lies outside the years 1 to 9999")
    latest = now + int(future_s * MICROSECONDS)
    refuse(
        column(table, "made").astype(np.int64) > latest,
        f"resultTime lies in the future: it is {to_datetime(now).isoformat()} and {future_s:g} s ahead are allowed",
    )
    until = _given(table, "until")
    if until.any():
        ends = pc.fill_null(table.column("until"), table.column("time").chunk(0)[0] if count else 0)
        last = _instants(ends)
        refuse(until & (last < column(table, "time").astype(np.int64)), "phenomenonTime ends before it begins")
        refuse(until & _nameless(last), "phenomenonTime ends after the year 9999")
    feature = _given(table, "feature")
    if feature.any():
        ids = pc.fill_null(table.column("feature"), 0).to_numpy()
        unknown = (ids < 1) | (ids >= catalog.next_id("features"))
        if catalog.features_gone:
            unknown |= np.isin(ids, np.fromiter(catalog.features_gone, np.int64))
        refuse(feature & unknown, NO_FEATURE)
    here = catalog.places.features(index.thing[at])
    if here.any():  # who names no feature observes the place where the thing is (OGC 18-088, 8.2.8)
        ids = np.where(feature, pc.fill_null(table.column("feature"), 0).to_numpy(), here)
        place = table.schema.get_field_index("feature")
        table = table.set_column(place, table.schema.field(place), pa.array(ids, mask=ids == 0))

    factors, offsets = index.lines
    factor, offset = factors[at], offsets[at]
    if batch.units is not None:
        _use_given_units(batch.units, known & number & has_value, index, at, factor, offset, why)
    si = np.where(number & has_value, value * factor + offset, value)
    place = table.schema.get_field_index("value")
    values = pa.array(si) if has_value.all() else pa.array(si, mask=~has_value)
    table = table.set_column(place, table.schema.field(place), values)
    if not why:
        return Batch(table, batch.refused, batch.rows, batch.keys, batch.units)
    good = np.delete(np.arange(count), sorted(why))
    refused = tuple(RowRefusal(int(batch.rows[row]), reason) for row, reason in why.items())
    return Batch(
        table.take(pa.array(good)),
        tuple(sorted((*batch.refused, *refused), key=lambda r: r.row)),
        batch.rows[good],
        batch.keys[good] if batch.keys is not None else None,
        batch.units.take(pa.array(good)) if batch.units is not None else None,
    )


_FITS: dict[int, Callable[[Any], bool]] = {
    NUMBER: lambda value: type(value) in (int, float),
    COUNT: lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    TEXT: lambda value: isinstance(value, str),
    TRUTH: lambda value: isinstance(value, bool),
    JSON: lambda value: True,
}
_NAMES = {NUMBER: "a number", COUNT: "a count", TEXT: "a text", TRUTH: "true or false"}


def _no_values(told: str | None, types: Sequence[int], *, null: bool) -> str:
    """Why a result (JSON) is not a list of values of these types, each perhaps ``null``; empty when it is."""
    values = msgspec.json.decode(told) if told else None
    if not isinstance(values, list) or len(values) != len(types):
        return f"takes a list of {len(types)} values"
    for place, (value, kind) in enumerate(zip(values, types, strict=True)):
        if value is None and kind != JSON and not null:
            return f"does not allow a missing value, as at {place}"
        if value is not None and not _FITS[kind](value):
            return f"takes {_NAMES[kind]} at {place} of its results"
    return ""


def _use_given_units(
    units: pa.DictionaryArray,
    rows: NDArray[np.bool_],
    index: StreamIndex,
    at: NDArray[np.int64],
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
    why: dict[int, str],
) -> None:
    """Where a row names its unit, put that unit's line to SI in ``factor`` and ``offset``, or the reason in ``why``."""
    codes = pc.fill_null(units.indices, -1).to_numpy()
    names = {code: unit for unit, code in index.unit_codes.items()}
    for code, text in enumerate(units.dictionary.to_pylist()):
        here = np.flatnonzero(rows & (codes == code))
        if len(here) == 0:
            continue
        try:
            unit = to_si(text, "")
        except InputRefused as error:
            why.update((int(row), error.why) for row in here if int(row) not in why)
            continue
        fits = index.si_unit[at[here]] == index.unit_codes.get(unit.si_unit, -1)
        factor[here[fits]], offset[here[fits]] = unit.factor, unit.offset
        for row in here[~fits]:
            own = names[int(index.si_unit[at[row]])]
            why.setdefault(int(row), f"unit '{text}' does not fit Datastream {at[row]}, which is kept in '{own}'")


def _given(table: pa.Table, name: str) -> NDArray[np.bool_]:
    given = table.column(name)
    if given.null_count in (0, table.num_rows):
        return np.full(table.num_rows, given.null_count == 0)
    present: NDArray[np.bool_] = given.is_valid().to_numpy()
    return present


def _nameless(instants: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which instants [us since epoch] no calendar of ours can name."""
    return (instants < _YEAR_1) | (instants >= _YEAR_10000)


def _instants(values: pa.ChunkedArray) -> NDArray[np.int64]:
    instants: NDArray[np.int64] = values.cast(pa.int64()).to_numpy()
    return instants
