"""Puts lamp posts along the streets of a town, each a small weather sensor: air temperature and rain."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from civium.sandbox.places import Places
from civium.sandbox.streets import Streets
from civium.sandbox.weather import Floats, Weather

MOST = 300
FEWEST_MAPPED = 50  # below, the map is taken to lack its lamps
SPACING_M = 60.0
ICE_POINT_K = 273.15


@dataclass(frozen=True, slots=True)
class Lamp:
    """One lamp post with its thermometer's own error [K]."""

    key: str
    xy: tuple[float, float]
    longitude: float
    latitude: float
    street: str
    error: float

    def facts(self) -> dict[str, Any]:
        """What its owner has registered."""
        return {"street": self.street} if self.street else {}


def place_lamps(places: Places, streets: Streets, seed: int) -> list[Lamp]:
    """The lamps of the map, or lamps at a regular spacing where the map has few; thinned evenly to a few hundred."""
    rng = np.random.default_rng([seed, 0x1A])
    if len(places.lamps) >= FEWEST_MAPPED:
        spots = [(float(x), float(y), "") for x, y in places.lamps]
    else:
        spots = [spot for edge in streets.edges.values() for spot in _along(edge.shape, edge.name)]
    chosen = np.linspace(0, len(spots) - 1, min(MOST, len(spots))).round().astype(int).tolist()
    spots = [spots[i] for i in chosen]
    lonlat = streets.to_lonlat(np.array([s[:2] for s in spots])) if spots else np.empty((0, 2))
    errors = rng.normal(0.0, 0.2, len(spots))
    return [
        Lamp(f"lamp/{n}", (x, y), float(longitude), float(latitude), street, float(error))
        for n, ((x, y, street), (longitude, latitude), error) in enumerate(zip(spots, lonlat, errors, strict=True), 1)
    ]


def _along(shape: Floats, street: str) -> list[tuple[float, float, str]]:
    steps = np.hypot(*np.diff(shape, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    at = np.arange(SPACING_M / 2, along[-1], SPACING_M)
    xs, ys = np.interp(at, along, shape[:, 0]), np.interp(at, along, shape[:, 1])
    return [(float(x), float(y), street) for x, y in zip(xs, ys, strict=True)]


def measure(lamps: list[Lamp], weather: Weather, instant: int) -> tuple[Floats, Floats]:
    """Air temperature [deg C] and rain rate [mm/h] as the lamps report them, at an instant [us]."""
    if not lamps:
        return np.empty(0), np.empty(0)
    xy = np.array([lamp.xy for lamp in lamps])
    warmth = weather.temperature(instant, xy) - ICE_POINT_K + np.array([lamp.error for lamp in lamps])
    return np.round(warmth, 2), np.round(weather.rain(instant, xy) * 1000 * 3600, 2)
