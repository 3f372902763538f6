"""GTFS-Realtime: vehicles, trip updates, stop times and alerts of a public transport feed, fetched at an interval."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from civium.core import MICROSECONDS
from civium.core.extras import require
from civium.engines.settings import SettingsWrong
from civium.sources.feeds.pull import PullSettings, pull
from civium.sources.feeds.source import Item, Sink, Source, Unreadable

_KINDS = ("vehicle", "trip_update", "stop_time", "alert")


class GtfsRealtimeSettings(PullSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``of`` are the kinds of items: vehicle, trip_update, stop_time (one for each stop of a trip update), alert."""

    every_s: float = 30.0
    max_body_mb: float = 32.0
    of: tuple[str, ...] = ("vehicle",)


def check(settings: GtfsRealtimeSettings) -> None:
    """Raises SettingsWrong for a kind that there is not."""
    if not settings.of or set(settings.of) - set(_KINDS):
        raise SettingsWrong(f"of is {list(settings.of)}; use {', '.join(_KINDS)}")


def read(settings: GtfsRealtimeSettings, body: bytes) -> Sequence[Item]:
    """The items of a feed message; raises Unreadable.

    What an item says has the names of the specification, as ``trip.trip_id`` or ``position.latitude``.
    """
    feed = require("google.transit.gtfs_realtime_pb2", "transit").FeedMessage()
    message, to_dict = require("google.protobuf.message", "transit"), require("google.protobuf.json_format", "transit")
    try:
        feed.ParseFromString(body)
    except message.DecodeError as error:
        raise Unreadable(f"it is no GTFS-Realtime feed: {error}") from None
    if not feed.header.gtfs_realtime_version:
        raise Unreadable("it is no GTFS-Realtime feed: its header is missing")

    def plain(part: Any) -> dict[str, Any]:
        return dict(to_dict.MessageToDict(part, preserving_proto_field_name=True))

    return [
        item
        for entity in feed.entity
        if not entity.is_deleted
        for kind in settings.of
        for item in _items(entity, kind, int(feed.header.timestamp), plain)
    ]


def _items(entity: Any, kind: str, header: int, plain: Any) -> Iterator[Item]:
    """The items of one entity. An entity's id names it within one message only, so what it says is its identity too."""
    name = "trip_update" if kind == "stop_time" else kind
    if not entity.HasField(name):
        return
    part = getattr(entity, name)
    stamp = int(getattr(part, "timestamp", 0)) or header
    time = stamp * MICROSECONDS if stamp else None
    told: list[dict[str, Any]] = [plain(part)]
    if kind == "stop_time":
        trip = {key: value for key, value in told[0].items() if key != "stop_time_update"}
        told = [{**trip, **plain(stop)} for stop in part.stop_time_update]
    for said in told:
        digest = blake2b(repr(sorted(said.items())).encode(), digest_size=8).hexdigest()
        yield Item({**said, "entity": entity.id}, time, identity=f"{kind}/{entity.id}/{stamp}/{digest}")


async def run(settings: GtfsRealtimeSettings, sink: Sink) -> None:
    """Fetch the feed again and again."""
    await pull(settings, sink, read)


SOURCE = Source("gtfs_realtime", GtfsRealtimeSettings, run=run, check=check)
