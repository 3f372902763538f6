"""One town made ready: its streets, signals, demand, roofs, lamps and weather, from one map and one seed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from civium.core import MICROSECONDS, from_datetime
from civium.sandbox.calibration import calibrate
from civium.sandbox.demand import Demand
from civium.sandbox.junction import Junction, read_junctions
from civium.sandbox.lamps import Lamp, place_lamps
from civium.sandbox.parking import CarPark, Sign, place_signs, read_car_parks
from civium.sandbox.places import Places, read_places
from civium.sandbox.readers import Link, Reader, place_readers
from civium.sandbox.segments import Segment, place_segments
from civium.sandbox.streets import Streets, build_net, read_streets
from civium.sandbox.sun import Plant, place_plants
from civium.sandbox.weather import Weather


@dataclass(frozen=True)
class Town:
    """All that a run needs. What stands in the town depends on its map alone, what happens there on the seed too.

    ``midnight`` [us] is the local midnight before the run; local time is that of the town's nautical time zone.
    """

    net: Path
    streets: Streets
    places: Places
    junctions: tuple[Junction, ...]
    plants: tuple[Plant, ...]
    lamps: tuple[Lamp, ...]
    car_parks: tuple[CarPark, ...]
    parking_signs: tuple[Sign, ...]
    readers: tuple[Reader, ...]
    links: tuple[Link, ...]
    segments: tuple[Segment, ...]
    centre: tuple[float, float]  # longitude and latitude [deg]
    weather: Weather
    demand: Demand
    midnight: int

    def second(self, instant: int) -> int:
        """Seconds since the run's midnight at an instant [us]."""
        return (instant - self.midnight) // MICROSECONDS


def prepare(extract: Path, work: Path, seed: int, day: date, say: Callable[[str], None] = lambda _: None) -> Town:
    """Builds a town from an OSM extract; the slow parts come from the cache in ``work`` the second time.

    ``day`` is the run's first. Raises ``InputRefused`` for an extract without streets.
    """
    say(f"streets of {extract.name}")
    net = build_net(extract, work)
    streets = read_streets(net)
    places = read_places(extract, streets)
    standing = int(net.name.split("-")[1].split(".")[0], 16) % 2**31
    points = np.array([edge.shape[0] for edge in streets.edges.values()])
    longitude, latitude = streets.to_lonlat(
        (points.min(axis=0, keepdims=True) + points.max(axis=0, keepdims=True)) / 2
    )[0]
    zone = timedelta(hours=round(float(longitude) / 15))
    car_parks = tuple(read_car_parks(extract, streets))
    junctions = tuple(read_junctions(net))
    readers, links = place_readers(streets, junctions)
    scale = calibrate(net, streets, places, work, say)
    return Town(
        net=net,
        streets=streets,
        places=places,
        junctions=junctions,
        plants=tuple(place_plants(places, streets, standing)),
        lamps=tuple(place_lamps(places, streets, standing)),
        car_parks=car_parks,
        parking_signs=tuple(place_signs(car_parks, streets)),
        readers=tuple(readers),
        links=tuple(links),
        segments=tuple(place_segments(streets)),
        centre=(float(longitude), float(latitude)),
        weather=Weather(seed, float(longitude), float(latitude)),
        demand=Demand(streets, places, seed, day, scale),
        midnight=from_datetime(datetime.combine(day, time(), UTC) - zone),
    )
