"""Speed detectors on the larger streets of a town: mean speed and number of vehicles of each segment, by the minute."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.sandbox.streets import Edge, Streets

KINDS = ("motorway", "trunk", "primary", "secondary", "tertiary")
MOST = 300
SHORTEST_M = 25.0
SAMPLE_S = 5
MEASURES = {"vehicle_speed": "m/s", "vehicle_flow": "1"}


@dataclass(frozen=True, slots=True)
class Segment:
    """One direction of one street section with a detector."""

    key: str
    edge: Edge
    leads_to: tuple[str, ...]
    longitude: float
    latitude: float

    @property
    def name(self) -> str:
        """What people call it."""
        return self.edge.name or f"Street {self.edge.id}"

    def facts(self) -> dict[str, Any]:
        """What its owner has registered."""
        edge = self.edge
        return {
            "code": edge.id, "length_m": round(edge.length, 1), "free_speed_m_s": round(edge.speed, 2),
            "lanes": edge.lanes, "leads_to": list(self.leads_to),
        }  # fmt: skip


def place_segments(streets: Streets) -> list[Segment]:
    """The larger streets, the longest first where there are too many; in order of their id."""
    found = [
        edge for edge in streets.edges.values()
        if edge.kind.removesuffix("_link") in KINDS and edge.length >= SHORTEST_M
    ]  # fmt: skip
    kept = sorted(found, key=lambda edge: (-edge.length, edge.id))[:MOST]
    ids = {edge.id for edge in kept}
    kept.sort(key=lambda edge: edge.id)
    middles = np.array([edge.shape[len(edge.shape) // 2] for edge in kept]).reshape(-1, 2)
    lonlat = streets.to_lonlat(middles) if kept else middles
    return [
        Segment(
            f"segment/{e.id}", e, tuple(n for n in streets.following.get(e.id, ()) if n in ids), float(lon), float(lat)
        )
        for e, (lon, lat) in zip(kept, lonlat, strict=True)
    ]


class SegmentDetectors:
    """Adds up what drives on the segments; ``take`` gives a minute's means and begins anew."""

    def __init__(self, segments: tuple[Segment, ...], sim: Any) -> None:
        self._sim = sim
        self._edges = [segment.edge.id for segment in segments]
        self._length = np.array([segment.edge.length for segment in segments])
        self._clear()

    def _clear(self) -> None:
        self._cars, self._metres = np.zeros(len(self._edges)), np.zeros(len(self._edges))
        self._samples = 0

    def sample(self) -> None:
        """Look at all segments once; asked every ``SAMPLE_S``."""
        edge = self._sim.edge
        count = np.array([edge.getLastStepVehicleNumber(e) for e in self._edges], dtype=np.float64)
        driven = np.flatnonzero(count)
        speed = np.array([edge.getLastStepMeanSpeed(self._edges[k]) for k in driven])
        self._cars += count
        self._metres[driven] += count[driven] * speed
        self._samples += 1

    def take(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean speed [m/s] (NaN where nobody drove) and how many vehicles passed in the minute."""
        with np.errstate(invalid="ignore", divide="ignore"):
            speed = np.where(self._cars > 0, self._metres / self._cars, np.nan)
        flow = np.round(60.0 * self._metres / self._length / max(self._samples, 1), 2)
        self._clear()
        return np.round(speed, 2).astype(np.float64), flow.astype(np.float64)
