"""The figures of the handbook: from passages and links to speeds, hours, flows and emissions. Pure functions."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.practices.travel_time.emission import POLLUTANTS, grams_per_metre
from civium.practices.travel_time.matching import (
    SECOND,
    Passages,
    Samples,
    flows_of,
    legs_of,
    samples_of,
    times_of,
    usual,
    visits_of,
)
from civium.practices.travel_time.network import Network, network_of
from civium.practices.travel_time.params import TravelTimeParams

Floats = NDArray[np.float64]
HOURS = 24


@dataclass(frozen=True, eq=False, slots=True)
class Given:
    """What a handbook is made of: things of a View, and all passages of a time (instants [us], things, pseudonyms)."""

    city: str
    first: int
    last: int
    things: pa.Table
    thing: NDArray[np.int64]
    time: NDArray[np.int64]
    device: NDArray[np.float64]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        digest = hashlib.sha256(f"{self.city} {self.first} {self.last}".encode())
        for name in ("thing", "kind", "name", "lon", "lat", "facts"):
            digest.update(json.dumps(self.things.column(name).to_pylist()).encode())
        for column in (self.thing, self.time, self.device):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False, slots=True)
class Figures:
    """L links by H = 24 hours of the day, R readers; NaN where nothing is told.

    ``vehicles`` are scaled by the penetration; ``mean`` travel time [s]; ``ratio`` of speed to free speed; emitted by
    pollutant [g], and what would be at free speed; ``flows`` of journeys (R, R), scaled too.
    """

    network: Network
    names: tuple[str, ...]
    shapes: tuple[NDArray[np.float64], ...]  # (n, 2) longitude and latitude [deg]
    readers: tuple[str, ...]
    places: Floats  # (R, 2) longitude and latitude [deg]
    passages: int
    vehicles: Floats  # (L, H)
    mean: Floats  # (L, H) [s]
    emitted: dict[str, Floats]  # (L, H) [g]
    at_free: dict[str, Floats]
    flows: Floats

    @property
    def told(self) -> NDArray[np.bool_]:
        """Links of which anything is told."""
        found: NDArray[np.bool_] = np.isfinite(self.mean).sum(axis=1) > 0
        return found

    @property
    def free(self) -> Floats:
        """Travel time of each link at free speed [s]."""
        return self.network.length / self.network.free_speed

    def ratio_of(self, axis: int | None) -> Floats:
        """Free travel time over that driven, of all vehicles summed over an axis (0: links, 1: hours, None: cells)."""
        weight = np.where(np.isnan(self.mean), 0.0, self.vehicles)
        driven = np.nan_to_num(self.mean) * weight
        free = self.free[:, None] * weight
        if axis is not None:
            driven, free = driven.sum(axis=axis), free.sum(axis=axis)
        return np.where(driven > 0, free / np.maximum(driven, 1e-9), np.nan)

    @property
    def lost(self) -> Floats:
        """Vehicle hours lost against free speed, by link and hour."""
        late = np.maximum(np.nan_to_num(self.mean) - self.free[:, None], 0.0)
        return np.where(np.isnan(self.mean), 0.0, late * self.vehicles / 3600.0)

    @property
    def vehicle_km(self) -> float:
        """Kilometres that all vehicles drove on links that are told."""
        return float((np.where(np.isnan(self.mean), 0.0, self.vehicles) * self.network.length[:, None]).sum() / 1000)


def figures_of(given: Given, zone: str, params: TravelTimeParams) -> Figures:
    """All figures; hours are those of ``zone``. Raises ``NeedUnmet`` where no link can be used."""
    network = network_of(given.things)
    at = np.clip(np.searchsorted(network.reader, given.thing), 0, len(network.reader) - 1)
    known = (network.reader[at] == given.thing) & np.isfinite(given.device)
    heard = Passages(at[known], given.time[known], given.device[known].astype(np.int64))
    legs = legs_of(visits_of(heard, params), params)
    samples = samples_of(legs, network, params)
    good = usual(samples, params)
    samples = Samples(samples.link[good], samples.end[good], samples.seconds[good])
    links = len(network.link)
    cell = samples.link * HOURS + _hours(samples.end, zone)
    times = times_of(Samples(cell, samples.end, samples.seconds), links * HOURS, params)
    mean = times.mean.reshape(links, HOURS)
    vehicles = times.count.reshape(links, HOURS) / params.penetration
    weight = np.where(np.isnan(mean), 0.0, vehicles) * network.length[:, None]
    speed = network.length[:, None] / mean
    free = np.minimum(np.broadcast_to(network.free_speed[:, None], speed.shape), 1e9)
    emitted = {p: np.nan_to_num(grams_per_metre(p, speed)) * weight for p in POLLUTANTS}
    # Free speed as it was driven at best: who drives faster than the limit does not gain.
    at_free = {
        p: np.nan_to_num(grams_per_metre(p, np.maximum(free, np.nan_to_num(speed)))) * weight for p in POLLUTANTS
    }
    rows = {
        thing: (name, lon, lat, json.loads(facts or "{}"))
        for thing, name, lon, lat, facts in zip(
            *(given.things.column(c).to_pylist() for c in ("thing", "name", "lon", "lat", "facts")), strict=True
        )
    }
    own = [rows[thing] for thing in network.link.tolist()]
    ends = [rows[thing] for thing in network.reader.tolist()]
    places = np.array([[lon or np.nan, lat or np.nan] for _, lon, lat, _ in ends], dtype=np.float64)
    return Figures(
        network=network,
        names=tuple(str(name) for name, *_ in own),
        shapes=tuple(
            _shape(facts, places[[a, b]]) for (*_, facts), a, b in zip(own, network.start, network.end, strict=True)
        ),
        readers=tuple(str(name) for name, *_ in ends),
        places=places,
        passages=int(known.sum()),
        vehicles=vehicles,
        mean=mean,
        emitted=emitted,
        at_free=at_free,
        flows=flows_of(legs, len(network.reader), params) / params.penetration,
    )


def _shape(facts: dict[str, Any], ends: Floats) -> Floats:
    told = facts.get("shape")
    return np.array(told, dtype=np.float64) if isinstance(told, list) and len(told) > 1 else ends


def _hours(instants: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """Hour of the day of each instant [us]; the offset of the zone is looked up once a quarter of an hour."""
    quarter, back = np.unique(instants // (900 * SECOND), return_inverse=True)
    there = ZoneInfo(zone) if zone else UTC
    hours = [datetime.fromtimestamp(float(q) * 900, UTC).astimezone(there).hour for q in quarter.tolist()]
    return np.array(hours, dtype=np.int64)[back] if len(quarter) else np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class SlowLink:
    """A row of the table of slow links."""

    link: int
    name: str
    length: float
    free: float
    mean: float
    ratio: float
    worst_hour: int
    lost: float
    co2_lost: float
    slow_hours: tuple[int, ...]
    all_day: bool


def slow_links(figures: Figures, most: int, limit: float) -> list[SlowLink]:
    """The links that lose most vehicle hours; slow at an hour is under ``limit`` of the free speed."""
    lost, ratio = figures.lost.sum(axis=1), figures.ratio_of(1)
    cells = figures.ratio_of(None)
    co2 = (figures.emitted["CO2"] - figures.at_free["CO2"]).sum(axis=1) / 1000.0
    rows = []
    for n in np.lexsort((np.arange(len(lost)), -lost))[:most].tolist():
        if lost[n] <= 0:
            break
        told = np.flatnonzero(~np.isnan(cells[n]))
        slow = told[cells[n, told] < limit]
        rows.append(
            SlowLink(
                n,
                _titled(figures, n),
                float(figures.network.length[n]),
                float(figures.free[n]),
                float(figures.free[n] / ratio[n]),
                float(ratio[n]),
                int(told[np.argmin(cells[n, told])]),
                float(lost[n]),
                float(co2[n]),
                tuple(slow.tolist()),
                len(slow) == len(told),
            )
        )
    return rows


def _titled(figures: Figures, n: int) -> str:
    """A link's name, with its readers where several links bear it."""
    name = figures.names[n]
    if figures.names.count(name) == 1:
        return name
    return f"{name} ({int(figures.network.start[n]) + 1} > {int(figures.network.end[n]) + 1})"


def top_flows(figures: Figures, most: int) -> list[tuple[int, int, float]]:
    """The largest flows: from, to, journeys."""
    order: Sequence[int] = np.argsort(-figures.flows, axis=None, kind="stable")[:most].tolist()
    size = len(figures.readers)
    return [(i // size, i % size, float(figures.flows.flat[i])) for i in order if figures.flows.flat[i] > 0]
