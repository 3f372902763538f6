"""Detectors of a signal-controlled junction: induction loops and lane cameras, as devices of the simulated street.

On every incoming lane an induction loop at the stop line, and cameras that look back up to ``CAMERA_RANGE_M`` from
it, one per lane; on every outgoing lane a camera over its first metres, which sees a queue that spills back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from civium.sandbox.junction import Junction
from civium.sandbox.sumo_net import Connection, StreetNet, read_net

CAMERA_RANGE_M = 100.0
EXIT_RANGE_M = 40.0
SHORTEST_RANGE_M = 2.0
VEHICLE_SPACE_M = 7.5  # a standing car and its gap
STANDING_M_S = 1.4
INTERVAL_S = 5.0
LOOP, CAMERA, EXIT = "loop", "camera", "exit"
MEASURES = {
    LOOP: ("vehicle_flow", "occupancy", "vehicle_speed"),
    CAMERA: ("vehicle_count", "queue_length"),
    EXIT: ("vehicle_count", "queue_length", "occupancy"),
}


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector; ``key`` is unique in the net. Lengths in [m].

    A loop lies at ``position`` of ``lane``. A camera watches ``range_m`` along ``lane`` and ``onward`` lanes from
    ``position`` on. ``serves`` are the incoming lanes of the signal that the watched vehicles are bound for, or, of
    an exit, the outgoing lane.
    """

    key: str
    role: str
    signal: str
    lane: str
    onward: tuple[str, ...]
    serves: tuple[str, ...]
    approach: str
    position: float
    range_m: float
    distance_m: float
    lon: float | None
    lat: float | None

    @property
    def measures(self) -> tuple[str, ...]:
        """The properties that it measures."""
        return MEASURES[self.role]

    def facts(self) -> dict[str, Any]:
        """Facts of the Thing of kind ``detector``, fit for JSON."""
        return {
            "signal": self.signal,
            "role": self.role,
            "lane": self.lane,
            "serves": list(self.serves),
            "approach": self.approach,
            "position_m": round(self.position, 2),
            "range_m": round(self.range_m, 2),
            "distance_m": round(self.distance_m, 2),
            "capacity": max(1, round(self.range_m / VEHICLE_SPACE_M)),
        }


def write_detectors(
    net: Path, junctions: Iterable[Junction], additional: Path, interval: float = INTERVAL_S
) -> list[Detector]:
    """Places detectors at junctions and writes SUMO's additional file for them.

    ``interval`` [s] is the time over which loops add up; it is rounded to what the caller's step allows.
    """
    streets = read_net(net)
    before: dict[str, list[Connection]] = {}
    after: dict[str, list[Connection]] = {}
    for c in streets.connections:
        before.setdefault(c.to_lane, []).append(c)
        after.setdefault(c.from_lane, []).append(c)
    detectors = [d for junction in junctions for d in _place(streets, junction, before, after)]
    with additional.open("w", encoding="utf-8") as out:
        out.write("<additional>\n")
        for d in detectors:
            out.write(_element(streets, d, interval))
        out.write("</additional>\n")
    return detectors


def _place(
    streets: StreetNet,
    junction: Junction,
    before: Mapping[str, list[Connection]],
    after: Mapping[str, list[Connection]],
) -> list[Detector]:
    """Where a junction's detectors lie; connections ``before`` and ``after`` each lane of the whole net."""
    place = streets.place()
    stop_lanes = [key for key in junction.incoming() if streets.lanes[key].motor]
    found = []
    for key in stop_lanes:
        lane = streets.lanes[key]
        at = max(lane.length - 2.0, lane.length / 2)
        lon, lat = place(*lane.end)
        found.append(
            Detector(f"loop/{junction.id}/{key}", LOOP, junction.id, key, (), (key,), lane.edge, at, 0.0, 0.0, lon, lat)
        )
    for key, (distance, serves) in _watched(streets, stop_lanes, before).items():
        lane = streets.lanes[key]
        reach = min(lane.length, CAMERA_RANGE_M - distance)
        if reach < SHORTEST_RANGE_M:
            continue
        lon, lat = place(*lane.end)
        approach = streets.lanes[serves[0]].edge
        name = f"camera/{junction.id}/{key}"
        found.append(
            Detector(
                name, CAMERA, junction.id, key, (), serves, approach, lane.length - reach, reach, distance, lon, lat
            )
        )
    for key in junction.outgoing():
        lane = streets.lanes[key]
        onward, reach = _onward(streets, key, after)
        if not lane.motor or reach < SHORTEST_RANGE_M:
            continue
        lon, lat = place(*lane.start)
        name = f"exit/{junction.id}/{key}"
        found.append(Detector(name, EXIT, junction.id, key, onward, (key,), lane.edge, 0.0, reach, 0.0, lon, lat))
    return found


def _watched(
    streets: StreetNet, stop_lanes: Sequence[str], before: Mapping[str, list[Connection]]
) -> dict[str, tuple[float, tuple[str, ...]]]:
    """Lanes within camera range of the stop lines: distance [m] of their end from it, and the stop lanes they feed."""
    found: dict[str, tuple[float, tuple[str, ...]]] = {key: (0.0, (key,)) for key in stop_lanes}
    farthest = [(key, 0.0) for key in stop_lanes]
    while farthest:
        key, distance = farthest.pop()
        farther = distance + streets.lanes[key].length
        if farther + SHORTEST_RANGE_M > CAMERA_RANGE_M:
            continue
        for c in before.get(key, []):
            lane = streets.lanes[c.from_lane]
            if c.tl or lane.function or not lane.motor or c.from_lane in stop_lanes:
                continue
            known = found.get(c.from_lane)
            serves = tuple(sorted({*found[key][1], *(known[1] if known else ())}))
            nearest = min(farther, known[0]) if known else farther
            if known != (nearest, serves):
                found[c.from_lane] = (nearest, serves)
                farthest.append((c.from_lane, nearest))
    return found


def _onward(streets: StreetNet, key: str, after: Mapping[str, list[Connection]]) -> tuple[tuple[str, ...], float]:
    """Lanes that continue an outgoing lane without choice or signal, and the length [m] an exit camera watches."""
    onward: list[str] = []
    reach = streets.lanes[key].length
    at = key
    while reach < EXIT_RANGE_M:
        ways = after.get(at, [])
        if len(ways) != 1 or ways[0].tl or ways[0].to_lane in (key, *onward):
            break
        at = ways[0].to_lane
        onward.append(at)
        reach += streets.lanes[at].length
    return tuple(onward), min(reach, EXIT_RANGE_M)


def _element(streets: StreetNet, d: Detector, interval: float) -> str:
    period = f'period="{interval:g}" freq="{interval:g}" file="NUL"'  # freq: as releases up to 1.9 call it
    if d.role == LOOP:
        return f'  <inductionLoop id={quoteattr(d.key)} lane={quoteattr(d.lane)} pos="{d.position:.2f}" {period}/>\n'
    lanes = (d.lane, *d.onward)
    end = d.position + d.range_m - sum(streets.lanes[key].length for key in lanes[:-1])
    end = min(end, streets.lanes[lanes[-1]].length)
    where = f"lanes={quoteattr(' '.join(lanes))}" if d.onward else f"lane={quoteattr(d.lane)}"
    return (
        f'  <laneAreaDetector id={quoteattr(d.key)} {where} pos="{d.position:.2f}" endPos="{end:.2f}" '
        f'friendlyPos="true" speedThreshold="{STANDING_M_S}" timeThreshold="0" {period}/>\n'
    )


@dataclass(frozen=True, slots=True)
class Column:
    """Readings of one property: ``detector`` are positions in the list of detectors, ``value`` in SI units."""

    detector: NDArray[np.int64]
    value: NDArray[np.float64]


def read_detectors(sim: Any, detectors: Sequence[Detector]) -> dict[str, Column]:
    """What all detectors measure at the end of their interval, by property; a speed is NaN when nothing passed.

    ``sim`` is libsumo, or a TraCI connection, in which the additional file of ``write_detectors`` was loaded.
    """
    loop, area = sim.inductionloop, sim.lanearea
    asked = {
        (LOOP, "vehicle_flow"): loop.getLastIntervalVehicleNumber,
        (LOOP, "occupancy"): loop.getLastIntervalOccupancy,
        (LOOP, "vehicle_speed"): loop.getLastIntervalMeanSpeed,
        (CAMERA, "vehicle_count"): area.getLastStepVehicleNumber,
        (CAMERA, "queue_length"): area.getLastStepHaltingNumber,
        (EXIT, "vehicle_count"): area.getLastStepVehicleNumber,
        (EXIT, "queue_length"): area.getLastStepHaltingNumber,
        (EXIT, "occupancy"): area.getLastStepOccupancy,
    }
    rows: dict[str, tuple[list[int], list[float]]] = {}
    for (role, measured), ask in asked.items():
        where, values = rows.setdefault(measured, ([], []))
        for i, detector in enumerate(detectors):
            if detector.role == role:
                where.append(i)
                values.append(ask(detector.key))
    columns = {}
    for measured, (where, values) in rows.items():
        value = np.array(values, dtype=np.float64)
        if measured == "occupancy":
            value = np.clip(value / 100.0, 0.0, 1.0)
        elif measured == "vehicle_speed":
            value[value < 0] = np.nan
        columns[measured] = Column(np.array(where, dtype=np.int64), value)
    return columns
