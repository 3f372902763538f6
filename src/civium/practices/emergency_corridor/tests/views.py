"""Views of a straight street of three signals, 300 m apart, with a side street at each, and vehicles on missions."""

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from civium.core.clock import MICROSECONDS
from civium.core.view import ACTUATORS, FRAME, THINGS, View

NOON = 1_782_043_200 * MICROSECONDS  # 2026-06-21T12:00:00Z
ORIGIN = (24.94, 60.17)
EAST_M = 111_195.0 * math.cos(math.radians(ORIGIN[1]))
NORTH_M = 111_195.0
BLOCK_M = 300.0
SPEED = 15.0
SIGNALS = (1, 2, 3)
CAMERA = {(signal, lane): 11 + 2 * i + j for i, signal in enumerate(SIGNALS) for j, lane in enumerate(("main", "side"))}
AMBULANCES = (31, 32, 33)
MAIN, SIDE = 0, 1  # phases

Point = tuple[float, float]


def place(x: float, y: float) -> Point:
    """Longitude and latitude [deg] of a point [m]: the street runs east along y = 0, signals at x = 300, 600, 900."""
    return ORIGIN[0] + x / EAST_M, ORIGIN[1] + y / NORTH_M


def street_facts() -> list[dict[str, object]]:
    """Four pieces of the main street, and at each signal a side street that comes from the south and goes north."""
    found = []
    for k in range(4):
        to = [f"main{k + 1}", f"north{k + 1}"] if k < 3 else []
        found.append(_street(f"main{k}", to, (BLOCK_M * k, 0.0), (BLOCK_M * (k + 1), 0.0)))
    for k in (1, 2, 3):
        found.append(_street(f"south{k}", [f"north{k}", f"main{k}"], (BLOCK_M * k, -200.0), (BLOCK_M * k, 0.0)))
        found.append(_street(f"north{k}", [], (BLOCK_M * k, 0.0), (BLOCK_M * k, 200.0)))
    return found


def _street(key: str, to: list[str], start: Point, end: Point) -> dict[str, object]:
    shape = [list(place(*start)), list(place(*end))]
    length = math.dist(start, end)
    return {"street": key, "to": to, "length_m": length, "speed_m_s": SPEED, "lanes": 1, "shape": shape}


def signal_facts(k: int) -> dict[str, object]:
    """Phase 0 lets the main street go, phase 1 the side street; changing takes five seconds."""
    into, side = f"main{k - 1}", f"south{k}"
    ways = [(into, f"main{k}"), (into, f"north{k}"), (side, f"north{k}"), (side, f"main{k}")]
    return {
        "signal": f"s{k}",
        "controllable": True,
        "links": 4,
        "phases": [
            {"state": "GGrr", "links": [0, 1], "lanes": [f"{into}_0"], "min_green_s": 5.0, "fixed_s": 40.0},
            {"state": "rrGG", "links": [2, 3], "lanes": [f"{side}_0"], "min_green_s": 5.0, "fixed_s": 40.0},
        ],
        "max_red_s": 120.0,
        "change_s": [[0.0, 5.0], [5.0, 0.0]],
        "movements": [
            {"link": i, "from": f"{a}_0", "to": f"{b}_0", "turn": "s", "pedestrian": False}
            for i, (a, b) in enumerate(ways)
        ],
        "incoming": [_lane(a) for a in (into, side)],
        "outgoing": [_lane(b) for b in (f"main{k}", f"north{k}")],
    }


def _lane(street: str) -> dict[str, object]:
    return {"lane": f"{street}_0", "edge": street, "length_m": 200.0, "speed_m_s": SPEED}


def detector_facts(k: int, lane: str) -> dict[str, object]:
    street = f"main{k - 1}" if lane == "main" else f"south{k}"
    return {"role": "camera", "signal": f"s{k}", "lane": f"{street}_0", "serves": [f"{street}_0"],
            "capacity": 13, "range_m": 100.0, "distance_m": 0.0}  # fmt: skip


def mission(target: Point | None = None, *, active: bool = True) -> str:
    return json.dumps({"active": active, "target": list(target or place(4 * BLOCK_M - 20, 0.0))})


def point(x: float, y: float = 0.0) -> str:
    return json.dumps({"type": "Point", "coordinates": list(place(x, y))})


def view(
    now: int,
    vehicles: Mapping[int, tuple[str | None, str | None, float | None]] | None = None,
    *,
    queues: Mapping[tuple[int, str], float] | None = None,
    shown: Sequence[int] = (SIDE, SIDE, SIDE),
    streets: Sequence[Mapping[str, object]] | None = None,
    speeds: Mapping[str, float] | None = None,
    age: float = 0.0,
) -> View:
    """The street at ``now`` [us]; of each vehicle its mission, position and speed, told ``age`` [s] ago."""
    facts = [json.dumps(signal_facts(k)) for k in SIGNALS] + [json.dumps(detector_facts(*key)) for key in CAMERA]
    facts += ["{}"] * len(AMBULANCES)
    streets = street_facts() if streets is None else streets
    facts += [json.dumps(street) for street in streets]
    kinds = ["signal"] * 3 + ["detector"] * len(CAMERA) + ["emergency_vehicle"] * len(AMBULANCES)
    kinds += ["street"] * len(streets)
    first = 101
    ids = [*SIGNALS, *CAMERA.values(), *AMBULANCES, *range(first, first + len(streets))]
    number = {street.get("street"): first + i for i, street in enumerate(streets)}
    told = now - round(age * MICROSECONDS)
    said = vehicles or {}
    counts = {CAMERA[key]: float((queues or {}).get(key, 0.0)) for key in CAMERA}
    frames = {
        "mission": _frame(told, 1_000, {v: said[v][0] for v in said}),
        "position": _frame(told, 2_000, {v: said[v][1] for v in said}),
        "speed": _frame(told, 3_000, {v: said[v][2] for v in said}),
        "street_speed": _frame(now, 4_000, {number[key]: value for key, value in (speeds or {}).items()}),
        "vehicle_count": _frame(now, 5_000, counts),
        "queue_length": _frame(now, 6_000, counts),
        "signal_phase": _frame(now, 7_000, {s: float(p) for s, p in zip(SIGNALS, shown, strict=True)}),
    }
    things = pa.table(
        {
            "thing": ids,
            "kind": kinds,
            "name": [*kinds[: -len(streets)], *(str(street.get("street")) for street in streets)] if streets else kinds,
            "lon": pa.nulls(len(ids), pa.float64()),
            "lat": pa.nulls(len(ids), pa.float64()),
            "facts": facts,
        },
        schema=THINGS,
    )
    actuators = pa.table(
        {
            "actuator": [s + 500 for s in SIGNALS],
            "thing": list(SIGNALS),
            "kind": ["signal"] * 3,
            "name": ["signal"] * 3,
            "facts": ['{"choices": [0, 1]}'] * 3,
        },
        schema=ACTUATORS,
    )
    return View(now=now, cut={"OBS0": 1}, frames=frames, things=things, actuators=actuators)


def _frame(time: int, offset: int, values: Mapping[int, str | float | None]) -> pa.Table:
    things = sorted(thing for thing, value in values.items() if value is not None)
    words = any(isinstance(values[thing], str) for thing in things)
    told = [values[thing] for thing in things]
    n = len(things)
    ids = np.array(things, dtype=np.int64) + offset
    return pa.table(
        {
            "id": ids,
            "stream": ids,
            "thing": np.array(things, dtype=np.int64),
            "time": pa.array(np.full(n, time, np.int64)).cast(FRAME.field("time").type),
            "until": pa.nulls(n, FRAME.field("until").type),
            "value": pa.nulls(n, pa.float64()) if words else pa.array(told, pa.float64()),
            "text": pa.array(told, pa.string()) if words else pa.nulls(n, pa.string()),
            "quality": pa.nulls(n, pa.int16()),
        },
        schema=FRAME,
    )


def example_views() -> list[View]:
    """Views on which it must act: a vehicle with a queue ahead, two that cross, what cannot be read."""
    ahead = {31: (mission(), point(150.0), 15.0)}
    crossing = {**ahead, 32: (mission(place(300.0, 190.0)), point(300.0, -100.0), 15.0)}
    broken = {31: ("[", '{"type":"Point"}', math.nan), 32: (mission((999.0, 0.0)), point(math.inf), -5.0)}
    return [
        view(NOON, ahead, queues={(1, "main"): 6.0}),
        view(NOON, crossing),
        view(NOON, broken),
    ]
