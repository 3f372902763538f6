"""Whether a caller may make a change of the catalogue, and store or correct readings: asked before either is done."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from civium.core import InputRefused, RowRefusal
from civium.core.rights import PUBLIC, STAFF, Caller, Role
from civium.core.view import column
from civium.engines.catalog import Catalog
from civium.engines.catalog.dialects import among_ids
from civium.engines.catalog.streams import ACCESS
from civium.engines.catalog.tables import ACTUATORS, HISTORICAL_LOCATIONS, THING_LOCATIONS
from civium.engines.rights import Rights
from civium.sources.batch import NOTHING_CREATED, NOTHING_STORED, Batch
from civium.sources.changes import Edits
from civium.sources.claims import without
from civium.sources.examine import NO_FEATURE, NO_STREAM

_SHARED = {"sensors": "sensor", "observed_properties": "property"}  # used by streams of any thing
# Of readings: their streams, features, and whether a topic named the feature and only the body the stream.
Foreign = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]], NDArray[np.bool_]]
_BY_DEVICES = {"features"}  # which a reading may bring with it


def permit_edits(caller: Caller, rights: Rights, catalog: Catalog, edits: Edits) -> None:
    """Refuse (401, 403) a change of what a caller's scope does not hold."""
    if caller.role is Role.ADMINISTRATOR or not edits:
        return
    touched = {name for some in (edits.rows, edits.updates, edits.deletes) for name, rows in some.items() if rows}
    if caller.role not in STAFF and not caller.trusted and (touched - _BY_DEVICES or edits.updates or edits.deletes):
        raise _refusal(caller, "make, change or remove entities")
    made = {row["id"]: row.get("kind", "") for row in edits.rows.get("things", ())}
    if wrong := next((kind for kind in made.values() if not rights.may_make(caller, kind)), None):
        raise _refusal(caller, f"register a thing of the kind '{wrong}'")
    if not all(rights.may_make(caller, kind) for kind in made.values()):
        raise _refusal(caller, "register a thing without a kind")
    with catalog.engine.connect() as connection:
        things = _things(connection, edits) - made.keys()
    closed, hidden = _closed(caller, rights, catalog), set(rights.hidden_things(caller).tolist())
    for thing in sorted(things):
        may = thing not in closed if caller.trusted else thing not in hidden and rights.may_change(caller, thing)
        if not may:
            raise _refusal(caller, "change what belongs to a Thing beyond its scope")
    index, mask = catalog.streams, rights.writable(caller).mask
    for row in edits.updates.get("things", ()):
        if "kind" in row and _is_other(catalog, row["id"], row["kind"]):
            _permit_kind(caller, rights, catalog, row["id"], row["kind"])
    for stream in _ids(edits, "datastreams"):
        if not (0 < stream < len(mask) and mask[stream]):
            raise _refusal(caller, "change a Datastream beyond its scope, or one that goes with it")
    for row in edits.updates.get("datastreams", ()):
        guarded, personal = index.access[row["id"]], index.personal[row["id"]]
        if ACCESS.get(row.get("access", ""), guarded) < guarded or (personal and row.get("personal") is False):
            raise _refusal(caller, "open a Datastream that is guarded: an administrator does")
    size = min(len(index.exists), len(mask))
    others = index.exists[:size] & ~mask[:size]
    for table, name in _SHARED.items():
        used = set(np.unique(getattr(index, name)[:size][others]).tolist())
        if used.intersection(_ids(edits, table)):
            raise _refusal(caller, f"change one of the {table} that streams beyond its scope use")
    if _ids(edits, "features") and not (caller.everywhere or caller.trusted):
        raise _refusal(caller, "change a FeatureOfInterest")


def permit_batch(caller: Caller, rights: Rights, catalog: Catalog, batch: Batch, *, whole: bool) -> Batch:
    """The rows of a batch that a caller may write; with ``whole`` one that it may not refuses all (401, 403).

    A row of a stream that is not there is left to whoever examines the batch; one of a stream of which the caller may
    not know is among the refused rows of the batch, in the words that are said of the other.
    """
    reach = rights.writable(caller)
    if reach.whole:
        return batch
    streams = column(batch.table, "stream").astype(np.int64)
    wrong = np.flatnonzero(catalog.streams.known(streams) & ~reach.among(streams))
    if not len(wrong):
        return batch
    seen = rights.readable(caller).among(streams[wrong])
    hidden, wrong = wrong[~seen], wrong[seen]
    rows = [zip(batch.rows[some].tolist(), streams[some].tolist(), strict=True) for some in (hidden, wrong)]
    if len(hidden):
        batch = without(batch, tuple(RowRefusal(row, NO_STREAM.format(stream=stream)) for row, stream in rows[0]))
    if not len(wrong):
        return batch
    refused = tuple(RowRefusal(row, f"'{caller.name}' may not write Datastream {stream}") for row, stream in rows[1])
    if whole or len(wrong) == len(streams):
        raise InputRefused(NOTHING_STORED, refused, _status(caller))
    return without(batch, refused)


def permit_made(caller: Caller, rights: Rights, catalog: Catalog, batch: Batch | None) -> None:
    """Refuse (400, 401, 403) Observations of a stream that a caller may not write, before anything is made."""
    if batch is not None and (refused := permit_batch(caller, rights, catalog, batch, whole=True).refused):
        raise InputRefused(NOTHING_CREATED, refused)


def permit_features(
    batch: Batch, foreign: Foreign, *, whole: bool, by_topic: Sequence[int | None] | None = None
) -> Batch:
    """The rows of a batch that name no feature, or one that is not ``foreign`` to them; the others are refused as if
    it were not there. With ``whole`` one of those refuses all (400). ``by_topic``: the feature that the topic of each
    row names, if it does.
    """
    named = np.flatnonzero(batch.table.column("feature").is_valid().to_numpy())
    if not len(named):
        return batch
    some = batch.table.select(["stream", "feature"]).take(pa.array(named))
    told = np.array([one is not None for one in by_topic or ()] or [False] * (int(batch.rows.max()) + 1), np.bool_)
    streams, features = (column(some, name).astype(np.int64) for name in ("stream", "feature"))
    wrong = named[foreign(streams, features, told[batch.rows[named]])]
    if not len(wrong):
        return batch
    refused = tuple(RowRefusal(row, NO_FEATURE) for row in batch.rows[wrong].tolist())
    if whole:
        raise InputRefused(NOTHING_STORED, refused)
    return without(batch, refused)


def permit_published(
    stream: int, rights: Rights, catalog: Catalog, edits: Edits, batch: Batch | None, maker: Caller | None
) -> None:
    """Refuse what an Observation brings with it by MQTT, unless everyone who may publish it may make that.

    ``stream`` is the one that the topic names (0: none), ``maker`` who may do least of those who may publish of any
    stream, if each may make entities. Readings are of that stream, of an open one or of one that is made.
    """
    touched = {name for some in (edits.rows, edits.updates, edits.deletes) for name, rows in some.items() if rows}
    if touched - _BY_DEVICES or edits.updates or edits.deletes:
        if stream or maker is None:
            raise InputRefused("of new entities an Observation here brings a FeatureOfInterest alone; POST the others")
        permit_edits(maker, rights, catalog, edits)
    made = [row["id"] for row in edits.rows.get("datastreams", ())]
    streams = np.array([], np.int64) if batch is None else column(batch.table, "stream").astype(np.int64)
    open_ = np.zeros(len(streams), np.bool_) if stream else rights.readable(PUBLIC).among(streams)
    if not (np.isin(streams, [stream, *made]) | open_).all():
        raise InputRefused("an Observation in it is of another Datastream than the topic may be")


def permit_reading(caller: Caller, rights: Rights, catalog: Catalog, stream: int) -> None:
    """Refuse (401, 403) a reading of a stream that a caller may not write, and as one of no stream (400) where it may
    not know of that."""
    if not rights.writable(caller).holds(stream) and catalog.streams.known(np.array([stream]))[0]:
        if not rights.readable(caller).holds(stream):
            raise InputRefused(NOTHING_STORED, (RowRefusal(0, NO_STREAM.format(stream=stream)),))
        raise _refusal(caller, f"write Datastream {stream}")


def permit_corrections(caller: Caller, rights: Rights, corrections: pa.Table) -> None:
    """Refuse (401, 403) corrections of readings of a stream that a caller may not write."""
    reach = rights.writable(caller)
    for name in ("stream", "was_stream"):
        streams: NDArray[np.int64] = column(corrections, name).astype(np.int64)
        if len(streams) and not reach.among(streams).all():
            raise _refusal(caller, "change Observations of a Datastream beyond its scope")
    if corrections.num_rows and caller.role not in STAFF and not caller.trusted:
        raise _refusal(caller, "change or remove Observations")


def _things(connection: Connection, edits: Edits) -> set[int]:
    """The things that a change is about, or that are at a place that it is about."""
    found = set(_ids(edits, "things"))
    for table in ("datastreams", "actuators", "thing_locations", "historical_locations"):
        for some in (edits.rows, edits.updates, edits.deletes):
            found |= {row["thing"] for row in some.get(table, ()) if row.get("thing") is not None}
    devices = [row["device"] for row in edits.rows.get("actuators", ()) if row.get("device") is not None]
    for owned in (ACTUATORS, HISTORICAL_LOCATIONS):
        ids = _ids(edits, owned.name) + (devices if owned is ACTUATORS else [])
        mine = select(owned.c.thing).where(owned.c.thing.is_not(None), among_ids(owned.c.id, ids))
        found |= set(connection.scalars(mine))
    here = among_ids(THING_LOCATIONS.c.location, _ids(edits, "locations"))
    return found | set(connection.scalars(select(THING_LOCATIONS.c.thing).where(here)))


def _is_other(catalog: Catalog, thing: int, kind: str) -> bool:
    """Whether a kind is not the one that a thing is of."""
    of, code = catalog.kinds.of, catalog.kinds.codes.get(kind, 0 if kind == "" else -1)
    return not (0 < thing < len(of) and of[thing] == code)


def _permit_kind(caller: Caller, rights: Rights, catalog: Catalog, thing: int, kind: str) -> None:
    """Refuse (401, 403) a thing another kind, by which scopes name its streams, from who may not write all of them.

    The words are the same where the caller may not know of some of them.
    """
    index, reach = catalog.streams, rights.writable(caller)
    streams = np.flatnonzero(index.exists & (index.thing[: len(index.exists)] == thing))
    if not (rights.may_make(caller, kind) and reach.among(streams).all()):
        raise _refusal(caller, f"change the kind of Thing {thing}")


def _ids(edits: Edits, table: str) -> list[int]:
    """The rows of a table that are changed or go."""
    return [row["id"] for some in (edits.updates, edits.deletes) for row in some.get(table, ())]


def _closed(caller: Caller, rights: Rights, catalog: Catalog) -> set[int]:
    """The things with a stream that a caller without a token may not write."""
    if not caller.trusted:
        return set()
    index, mask = catalog.streams, rights.writable(caller).mask
    size = min(len(index.exists), len(mask))
    closed: Iterable[int] = np.unique(index.thing[:size][index.exists[:size] & ~mask[:size]]).tolist()
    return set(closed)


def _refusal(caller: Caller, what: str) -> InputRefused:
    hint = ": send Authorization: Bearer TOKEN, or log in" if caller.role is Role.PUBLIC else ""
    return InputRefused(f"'{caller.name}' ({caller.role}) may not {what}{hint}", status=_status(caller))


def _status(caller: Caller) -> int:
    return 401 if caller.role is Role.PUBLIC else 403
