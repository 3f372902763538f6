"""The car parks of a town and who parks there: counters, the bays of a small one, and signs that drivers may follow.

Where the cars of the streets end is not simulated to the place: arrivals follow the town's demand for work and visits
at that minute. Who finds a car park full drives on to the next one that has a place; how far is kept as the search.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.core.extras import require
from civium.sandbox.demand import Demand
from civium.sandbox.streets import Streets

PLACE_M2 = 25.0  # a place with its share of the way to it
FEWEST, MOST = 6, 600  # places of a car park that gets a counter
MOST_PARKS = 40
SIGNS = 4
STAY_MIN = 90.0
OBEY = 0.6  # of those who come by a sign
ALONG_M = 1.3  # driven for each metre of the straight line
BAY_SENSORS = 24  # the largest car park that has a sensor in each bay
NOBODY = -1


@dataclass(frozen=True, slots=True)
class CarPark:
    """One car park with its counter."""

    key: str
    name: str
    capacity: int
    xy: tuple[float, float]
    longitude: float
    latitude: float

    def facts(self) -> dict[str, Any]:
        """What its owner has registered."""
        return {"code": self.key, "capacity": self.capacity}


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign at the way into a part of the town; it can point to every car park."""

    key: str
    xy: tuple[float, float]
    longitude: float
    latitude: float


def read_car_parks(extract: Path, streets: Streets) -> list[CarPark]:
    """The larger open car parks of an OSM extract; capacity as tagged, else from the area."""
    osmium, shapely = require("osmium", "sandbox"), require("shapely", "sandbox")
    factory = osmium.geom.WKBFactory()
    wanted = osmium.filter.KeyFilter("amenity")
    found: list[tuple[int, str, float, float]] = []
    for entity in osmium.FileProcessor(extract).with_areas(wanted).with_filter(wanted):
        if not entity.is_area() or entity.tags.get("amenity") != "parking" or entity.tags.get("access") == "private":
            continue
        try:
            outline = shapely.from_wkb(factory.create_multipolygon(entity))
        except RuntimeError:  # a polygon cut open by the edge of the extract
            continue
        tagged = entity.tags.get("capacity", "")
        area = float(shapely.area(shapely.transform(outline, streets.to_plane)))
        places = int(tagged) if tagged.isdigit() else int(area / PLACE_M2)
        middle = shapely.centroid(outline)
        if places >= FEWEST:
            found.append((min(places, MOST), entity.tags.get("name", ""), float(middle.x), float(middle.y)))
    found.sort(key=lambda one: (-one[0], one[2], one[3]))
    found = found[:MOST_PARKS]
    plane = streets.to_plane(np.array([one[2:] for one in found])) if found else np.empty((0, 2))
    return [
        CarPark(f"parking/{n}", name or f"Car park {n}", places, (float(x), float(y)), lon, lat)
        for n, ((places, name, lon, lat), (x, y)) in enumerate(zip(found, plane, strict=True), 1)
    ]


def place_signs(parks: tuple[CarPark, ...], streets: Streets) -> list[Sign]:
    """A sign in the middle of the car parks of each quarter of the town."""
    if len(parks) < 2:
        return []
    xy = np.array([park.xy for park in parks])
    side = xy >= np.median(xy, axis=0)
    quarter = side[:, 0] * 2 + side[:, 1]
    spots = np.array([xy[quarter == q].mean(axis=0) for q in range(SIGNS) if (quarter == q).any()])
    return [
        Sign(f"parking-sign/{n}", (float(x), float(y)), float(lon), float(lat))
        for n, ((x, y), (lon, lat)) in enumerate(zip(spots, streets.to_lonlat(spots), strict=True), 1)
    ]


class Parking:
    """Who stands in the car parks, minute by minute; the same seed and the same wishes give the same.

    ``searched`` [m] is driven by those who found their car park full, ``turned_away`` are those who found no place.
    """

    def __init__(self, parks: tuple[CarPark, ...], signs: tuple[Sign, ...], demand: Demand, minute: int) -> None:
        self.parks, self.signs = parks, signs
        self._demand = demand
        self._capacity = np.array([park.capacity for park in parks], dtype=np.int64)
        xy = np.array([park.xy for park in parks]).reshape(-1, 2)
        self._apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) if len(parks) else np.empty((0, 0))
        at = np.array([sign.xy for sign in signs]).reshape(-1, 2)
        near = np.hypot(*(xy[:, None] - at[None]).transpose(2, 0, 1)) if len(signs) else np.empty((len(parks), 0))
        self._sign_of = near.argmin(axis=1) if len(signs) else np.full(len(parks), NOBODY)
        self._row = {park.key: k for k, park in enumerate(parks)}
        self._wish: dict[int, tuple[int, int, str]] = {}  # sign -> car park, until [us], decision
        random = np.random.default_rng([demand.seed, minute, 0x9A])
        self.count = np.minimum(random.poisson(self._capacity * self._fill(minute)), self._capacity)
        small = [k for k, park in enumerate(parks) if park.capacity <= BAY_SENSORS]
        self.bay_park = small[0] if small else NOBODY
        self.bays: NDArray[np.bool_] = np.zeros(self._capacity[self.bay_park] if small else 0, dtype=np.bool_)
        self._settle(random)
        self.searched, self.turned_away = 0.0, 0

    def _fill(self, minute: int) -> NDArray[np.float64]:
        """Share of the places that would be taken if all found one [n]; more than one where more come than fit."""
        rates = self._demand.rates(minute)
        most = max((self._demand.rates(minute // 1440 * 1440 + 60 * h)["reach shop"] for h in range(24)), default=0.0)
        busy = rates["reach shop"] / most if most > 0 else 0.0
        liked = np.random.default_rng([0x9B, len(self.parks)]).uniform(0.5, 1.25, len(self.parks))
        return liked * (0.1 + 0.9 * busy)

    def obey(self, sign: int, code: str, until: int, decision: str) -> bool:
        """Let a sign (position) point to a car park (its code) until an instant [us]; False when it cannot."""
        if code not in self._row:
            return False
        self._wish[sign] = (self._row[code], until, decision)
        return True

    def shown(self, sign: int, now: int) -> tuple[int, str | None]:
        """The car park that a sign points to at an instant [us] (``NOBODY``: none), and whose wish that is."""
        park, until, decision = self._wish.get(sign, (NOBODY, 0, ""))
        return (park, decision or None) if now < until else (NOBODY, None)

    def step(self, minute: int, now: int) -> None:
        """One minute on: cars leave, cars come; who follows a sign goes where it points."""
        if not self.parks:
            return
        random = np.random.default_rng([self._demand.seed, minute, 0x9C])
        self.count = self.count - random.binomial(self.count, 1 - np.exp(-1 / STAY_MIN))
        coming = random.poisson(self._capacity * self._fill(minute) / STAY_MIN)
        for park in np.repeat(np.arange(len(self.parks)), coming).tolist():
            aim, follows = park, random.random() < OBEY
            if self._sign_of[park] != NOBODY and follows:
                pointed = self.shown(int(self._sign_of[park]), now)[0]
                aim = pointed if pointed != NOBODY else park
            self._park(aim)
        self._settle(random)

    def _park(self, aim: int) -> None:
        free = np.flatnonzero(self.count < self._capacity)
        if not len(free):
            self.turned_away += 1
            return
        found = aim if self.count[aim] < self._capacity[aim] else int(free[self._apart[aim, free].argmin()])
        self.searched += float(self._apart[aim, found]) * ALONG_M
        self.count[found] += 1

    def _settle(self, random: np.random.Generator) -> None:
        """Put the cars of the small car park into its bays: who stands there stays, others come and go at random."""
        if self.bay_park == NOBODY:
            return
        more = int(self.count[self.bay_park] - self.bays.sum())
        places = np.flatnonzero(self.bays == (more < 0))
        self.bays[random.permutation(places)[: abs(more)]] = more > 0
