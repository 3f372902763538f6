"""The live dots of the map: the latest value of the things of a few kinds, in steps that a style sheet can colour."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from civium.city import City
from civium.core.rights import Caller
from civium.core.view import column
from civium.engines.catalog.tables import DATASTREAMS, OBSERVED_PROPERTIES, THINGS
from civium.engines.rights import Reach, readable_sql
from civium.web.ground import Frame, frame_around
from civium.web.state import latest_of_kind

MOST = 2000  # dots of one kind; more would hide the map
STEPS = 5
_MOST_KINDS = 10


@dataclass(frozen=True, slots=True)
class Look:
    """How the things of a kind are shown: shown value = value in SI * factor + offset.

    ``edges``: where a step ends and the next begins, in the shown unit; none: five equal steps of what is there now.
    """

    kind: str
    property: str
    title: str
    what: str
    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0
    decimals: int = 0
    edges: tuple[float, ...] = ()
    radius: float = 5.0  # on the drawing
    names: tuple[str, ...] = ()  # of the steps, where a value is no amount

    def words(self, value: float) -> str:
        """A value (in the shown unit) as one reads it."""
        if self.names:
            return self.names[bisect_right(self.edges, value)]
        return f"{value:.{self.decimals}f} {self.unit}".rstrip()


LOOKS = (
    Look("lamp_post", "air_temperature", "Lamp posts", "air temperature", "°C", offset=-273.15, decimals=1, radius=3.0),
    Look("detector", "queue_length", "Detectors", "queue", "vehicles", edges=(1, 2, 4, 7), radius=4.0),
    Look("street_segment", "vehicle_speed", "Street segments", "speed", "km/h", factor=3.6, radius=3.0),
    Look("car_park", "parked_vehicles", "Car parks", "parked", "vehicles", radius=7.0),
    Look("parking_bay", "bay_taken", "Parking bays", "is", edges=(0.5,), radius=3.0, names=("free", "taken")),
    Look("parking_guide", "sign_shows", "Parking signs", "points to", edges=(0,), names=("none", "a car park")),
    Look("emergency_vehicle", "speed", "Emergency vehicles", "speed", "km/h", factor=3.6, edges=(4, 18, 36, 54)),
    Look("pv_plant", "ac_power", "Solar plants", "power", "kW", factor=1e-3, decimals=1),
    Look(
        "signal", "signal_phase", "Signals", "shows", edges=(0, 1, 2, 3), radius=9.0,
        names=("changing", "stage 0", "stage 1", "stage 2", "stage 3 or later"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dot:
    """One thing: where on the drawing, the step (0 to 4) of its value, and words for whoever points at it."""

    thing: int
    x: float
    y: float
    step: int
    words: str


@dataclass(frozen=True, slots=True)
class DotLayer:
    """The things of one kind that have the property: how many, how many were heard, the span of their values."""

    look: Look
    things: int
    heard: int | None  # None: too many to look at
    span: str
    dots: tuple[Dot, ...]


async def dot_layers(
    city: City, caller: Caller, kinds: dict[str, int], frame: Frame | None
) -> tuple[list[DotLayer], Frame | None]:
    """The dots of the city's kinds (``kinds``: how many things each) that a caller may see, and their frame.

    Without a ``frame`` (no city model) one is laid around the things.
    """
    looks, reach = await asyncio.to_thread(_looks, city, caller, kinds), city.rights.readable(caller)
    found = [(look, *await asyncio.to_thread(_features, city, reach, look, kinds[look.kind])) for look in looks]
    frame = frame or frame_around([_point(feature) for _, _, features in found for feature in features])
    return [_layer(look, count, features, frame) for look, count, features in found if frame], frame


def _looks(city: City, caller: Caller, kinds: dict[str, int]) -> list[Look]:
    known = [look for look in LOOKS if look.kind in kinds]
    strange = sorted(set(kinds) - {look.kind for look in LOOKS} - {"weather_station"})
    with city.catalog.engine.connect() as connection:
        for kind in strange[: max(_MOST_KINDS - len(known), 0)]:
            first = (
                select(OBSERVED_PROPERTIES.c.name)
                .join(DATASTREAMS, DATASTREAMS.c.property == OBSERVED_PROPERTIES.c.id)
                .join(THINGS, THINGS.c.id == DATASTREAMS.c.thing)
                .where(THINGS.c.kind == kind, readable_sql(caller, DATASTREAMS))
                .order_by(DATASTREAMS.c.id)
                .limit(1)
            )
            if name := connection.scalar(first):
                known.append(Look(kind, name, kind.replace("_", " "), name.replace("_", " "), decimals=2))
    return known


def _features(city: City, reach: Reach, look: Look, things: int) -> tuple[int, list[dict[str, Any]]]:
    """How many tell it, and what they tell; a kind of too many things is counted and not looked at."""
    if things > MOST:
        return things, []
    streams = city.catalog.streams_of(look.property, look.kind, city.catalog.applied())
    count = int(reach.among(column(streams, "stream").astype(np.int64)).sum())
    return count, latest_of_kind(city, reach, look.kind, look.property)["features"]


def _point(feature: dict[str, Any]) -> tuple[float, float]:
    lon, lat = feature["geometry"]["coordinates"]
    return lon, lat


def _layer(look: Look, things: int, features: list[dict[str, Any]], frame: Frame) -> DotLayer:
    # Once a thing, though several of its streams may tell the same property.
    of_thing = {f["properties"]["thing"]: f for f in features if f["properties"]["value"] is not None}
    told = [(f, f["properties"]["value"] * look.factor + look.offset) for f in of_thing.values()]
    values = [value for _, value in told]
    edges = look.edges or _equal_steps(values)
    dots = []
    for feature, value in told:
        x, y = frame.place(*_point(feature))
        said = f"{feature['properties']['name']}: {look.what} {look.words(value)}"
        dots.append(Dot(feature["properties"]["thing"], round(x, 1), round(y, 1), bisect_right(edges, value), said))
    if things > MOST:
        return DotLayer(look, things, None, f"more than {MOST} are not drawn", ())
    span = ""
    if look.names:
        span = ", ".join(look.names)
    elif values:
        span = f"{look.what} {look.words(min(values)).removesuffix(look.unit).rstrip()} to {look.words(max(values))}"
    return DotLayer(look, things, len(of_thing), span, tuple(dots))


def _equal_steps(values: Sequence[float]) -> tuple[float, ...]:
    if not values:
        return ()
    low, high = min(values), max(values)
    return tuple(low + (high - low) * step / STEPS for step in range(1, STEPS)) if high > low else ()
