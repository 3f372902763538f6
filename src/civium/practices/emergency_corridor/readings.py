"""What the vehicles and the streets say at one turn: missions, positions, speeds, queues, phases."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from civium.core.view import View, column, latest

Point = tuple[float, float]  # longitude, latitude [deg]


@dataclass(frozen=True, slots=True)
class Mission:
    """What a vehicle says of its call at an instant [us]; ``target`` is None where it cannot be read."""

    time: int
    active: bool
    target: Point | None
    origin: Point | None


@dataclass(frozen=True, slots=True)
class Fix:
    """A position at an instant [us]; ``where`` is None where it cannot be a place on Earth."""

    time: int
    where: Point | None


def missions(view: View) -> dict[int, Mission]:
    """The newest mission of each vehicle; one that is no JSON object with ``active`` true or false is passed over."""
    found = {}
    for thing, time, text in _texts(view, "mission"):
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and isinstance(told.get("active"), bool):
            found[thing] = Mission(time, told["active"], point(told.get("target")), point(told.get("origin")))
    return found


def fixes(view: View) -> dict[int, Fix]:
    """The newest position of each vehicle."""
    found = {}
    for thing, time, text in _texts(view, "position"):
        try:
            found[thing] = Fix(time, point(json.loads(text)))
        except (ValueError, RecursionError):
            found[thing] = Fix(time, None)
    return found


def point(told: Any) -> Point | None:
    """Longitude and latitude of a GeoJSON Point or of a pair; None for anything else."""
    if isinstance(told, dict):
        told = told.get("coordinates") if told.get("type") == "Point" else None
    if not isinstance(told, list) or len(told) not in (2, 3):
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in told):
        return None
    lon, lat = float(told[0]), float(told[1])
    good = math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 180.0 and abs(lat) <= 90.0
    return (lon, lat) if good else None


def numbers(view: View, need: str) -> dict[int, float]:
    """The newest value by thing, where it is a number."""
    frame = view.frames.get(need)
    if frame is None or frame.num_rows == 0:
        return {}
    last = latest(frame)
    value = column(last, "value").astype(np.float64)
    known = np.isfinite(value)
    return dict(zip(column(last, "thing")[known].tolist(), value[known].tolist(), strict=True))


def _texts(view: View, need: str) -> list[tuple[int, int, str]]:
    """Thing, instant [us] and text of the newest row of each stream, ordered by instant."""
    frame = view.frames.get(need)
    if frame is None or frame.num_rows == 0:
        return []
    last = latest(frame)
    rows = zip(column(last, "thing").tolist(), column(last, "time").tolist(), last["text"].to_pylist(), strict=True)
    return sorted((thing, time, text) for thing, time, text in rows if text is not None)


def queue_of(lanes: tuple[str, ...], signal: int, cameras: Mapping[tuple[int, str], tuple[int, ...]],
             counts: Mapping[int, float], capacity: Mapping[int, float]) -> float:  # fmt: skip
    """Vehicles in the longest of some lanes of a signal, as far as its cameras see; what they cannot see is nobody.

    What a camera tells below zero, or above twice what fits into its picture, is taken as the nearest possible.
    """
    longest = 0.0
    for lane in lanes:
        here = sum(
            min(max(counts.get(camera, 0.0), 0.0), 2.0 * capacity[camera]) for camera in cameras.get((signal, lane), ())
        )
        longest = max(longest, here)
    return longest
