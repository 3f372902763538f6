"""FeaturesOfInterest that nobody posts: a Location at which a Thing is has one, for the Observations that name none.

One for each Location, and another when the Location itself is changed: what was observed before stays where it was.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from sqlalchemy import func, select

from civium.core import InputRefused
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import THING_LOCATIONS
from civium.sources.changes import Edits
from civium.sources.sensorthings.observations import Reading

NOWHERE = "its Thing has no Location, so it must name a FeatureOfInterest"


class Planned(Protocol):
    """What is put together of a request: see ``plan.Plan``."""

    catalog: Catalog
    edits: Edits
    unfeatured: list[tuple[str, int]]
    marked: set[int]

    def rows(self, table: str) -> list[dict[str, Any]]: ...

    def next(self, table: str) -> int: ...


def needs_place(reading: Reading, catalog: Catalog) -> bool:
    """Whether a reading names no feature, and none stands for the place of its Thing: somebody must see to that."""
    places, thing = catalog.places, catalog.streams.thing
    if reading.feature is not None or not (places.nowhere or places.unmarked) or not 0 < reading.stream < len(thing):
        return False
    own = int(thing[reading.stream])
    return own in places.nowhere or own in places.unmarked


def need_places(plan: Planned) -> None:
    """Refuse an Observation of no feature whose Thing is nowhere (OGC 18-088, 8.2.8).

    Where the feature of the place was taken away, there is to be another.
    """
    new = {row["id"]: row["thing"] for row in plan.rows("datastreams")}
    for at, stream in plan.unfeatured:
        thing = new.get(stream) or int(plan.catalog.streams.thing[stream])
        if any(row["thing"] == thing for row in plan.rows("thing_locations")):
            continue
        made = any(row["id"] == thing and row["key"] == f"thing/{thing}" for row in plan.rows("things"))
        if made or thing in plan.catalog.places.nowhere:
            raise InputRefused(f"{at}: {NOWHERE}")
        if thing in plan.catalog.places.unmarked:
            mark(plan, [thing])


def mark(plan: Planned, things: Iterable[int]) -> None:
    """Let the Locations where things are have a feature again."""
    table = THING_LOCATIONS
    with plan.catalog.engine.connect() as connection:
        for thing in things:
            latest = select(func.max(table.c.time)).where(table.c.thing == thing).scalar_subquery()
            here = select(table.c.location).where(table.c.thing == thing, table.c.time == latest)
            plan.marked.update(connection.scalars(here))


def add_features(plan: Planned) -> None:
    """Add the features that Locations are to have when the plan is carried out."""
    new = {row["id"]: row for row in plan.rows("locations")}
    altered = {row["id"]: row for row in plan.edits.updates.get("locations", ())}
    occupied = {row["location"] for row in plan.rows("thing_locations")} | plan.marked
    wanted = occupied | altered.keys()
    known = plan.catalog.last("locations", sorted(wanted - new.keys()))
    for place in sorted(wanted):
        row = new.get(place) or {**known[place], **altered.get(place, {})}
        moved = "location" in altered.get(place, {})
        if (place in occupied and row.get("feature") is None) or (moved and row["feature"] is not None):
            feature = plan.next("features")
            told = {name: row[name] for name in ("name", "description", "encoding_type")}
            plan.rows("features").append({"id": feature, **told, "feature": row["location"]})
            if place in new:
                row["feature"] = feature
            elif place in altered:
                altered[place]["feature"] = feature
            else:
                plan.edits.updates.setdefault("locations", []).append({"id": place, "feature": feature})
