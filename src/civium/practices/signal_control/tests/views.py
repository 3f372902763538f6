"""Views of a small crossroads: four arms of one lane, two stages, an exit camera on every way out."""

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from civium.core.clock import MICROSECONDS
from civium.core.view import ACTUATORS, FRAME, THINGS, View

NOON = 1_782_043_200 * MICROSECONDS  # 2026-06-21T12:00:00Z
ARMS = ("north", "south", "west", "east")
OPPOSITE = {"north": "south", "south": "north", "west": "east", "east": "west"}
STAGES = (("north", "south"), ("west", "east"))
SIGNAL, ACTUATOR = 1, 7
DETECTOR = {
    (role, arm): 2 + 4 * r + a for r, role in enumerate(("camera", "loop", "exit")) for a, arm in enumerate(ARMS)
}
MAX_RED_S = 120.0


def signal_facts(name: str = "x") -> dict[str, object]:
    """Facts of the crossroads: link i is the way straight on from arm i; link 4 lets walkers over the northern arm."""
    greens = [[ARMS.index(arm) for arm in stage] for stage in STAGES]
    greens[1].append(4)
    return {
        "signal": name,
        "controllable": True,
        "links": 5,
        "phases": [
            {
                "state": "".join("G" if i in green else "r" for i in range(5)),
                "links": green,
                "lanes": list(stage),
                "min_green_s": 5.0,
                "fixed_s": 40.0,
            }
            for green, stage in zip(greens, STAGES, strict=True)
        ],
        "change_s": [[0.0, 3.0], [6.0, 0.0]],
        "max_red_s": MAX_RED_S,
        "movements": [
            {"link": i, "from": arm, "to": f"to-{OPPOSITE[arm]}", "turn": "s", "pedestrian": False}
            for i, arm in enumerate(ARMS)
        ]
        + [{"link": 4, "from": ":w", "to": ":c", "turn": "s", "pedestrian": True}],
        "incoming": [{"lane": arm, "edge": arm, "length_m": 120.0, "speed_m_s": 13.9} for arm in ARMS],
    }


def detector_facts(role: str, arm: str, name: str = "x") -> dict[str, object]:
    """Facts of a detector of an arm; the exit of an arm is the way out into it."""
    lane = f"to-{arm}" if role == "exit" else arm
    reach = {"camera": 100.0, "loop": 0.0, "exit": 40.0}[role]
    place = {"range_m": reach, "distance_m": 0.0, "capacity": max(1, round(reach / 7.5))}
    return {"signal": name, "role": role, "lane": lane, "serves": [lane], **place}


def view(
    now: int,
    queues: Mapping[str, float],
    *,
    shown: float | None = 0.0,
    flows: Mapping[str, float] | None = None,
    exits: Mapping[str, float] | None = None,
    silent: tuple[int, ...] = (),
) -> View:
    """The crossroads at ``now`` [us]: standing vehicles by arm, flows over the stop lines, standing in the exits."""
    cameras = {DETECTOR["camera", arm]: float(queues.get(arm, 0.0)) for arm in ARMS}
    loops = {DETECTOR["loop", arm]: float((flows or {}).get(arm, 0.0)) for arm in ARMS}
    out = {DETECTOR["exit", arm]: float((exits or {}).get(arm, 0.0)) for arm in ARMS}
    occupied = {thing: min(1.0, value / 5.0) for thing, value in out.items()}
    free = dict.fromkeys(loops, 0.0)

    def frame(values: Mapping[int, float]) -> pa.Table:
        things = sorted(thing for thing in values if thing not in silent)
        return _frame(now, things, [values[thing] for thing in things])

    facts = [json.dumps(signal_facts())] + [json.dumps(detector_facts(*key)) for key in DETECTOR]
    count = 1 + len(DETECTOR)
    things = pa.table(
        {
            "thing": range(1, count + 1),
            "kind": ["signal"] + ["detector"] * len(DETECTOR),
            "name": ["Crossroads"] + [f"{role} {arm}" for role, arm in DETECTOR],
            "lon": [24.94] * count,
            "lat": [60.17] * count,
            "facts": facts,
        },
        schema=THINGS,
    )
    actuators = pa.table(
        {"actuator": [ACTUATOR], "thing": [SIGNAL], "kind": ["signal"], "name": ["Crossroads"], "facts": ["{}"]},
        schema=ACTUATORS,
    )
    frames = {
        "vehicle_count": frame({**cameras, **out}),
        "queue_length": frame({**cameras, **out}),
        "vehicle_flow": frame(loops),
        "occupancy": frame({**occupied, **free}),
        "signal_phase": frame({} if shown is None else {SIGNAL: shown}),
    }
    return View(now=now, cut={"OBS0": 1}, frames=frames, things=things, actuators=actuators)


def always_green(seen: View, arm: str) -> View:
    """The same crossroads, whose every stage shows green to an arm too."""
    link = ARMS.index(arm)
    texts = seen.things.column("facts").to_pylist()
    facts = json.loads(texts[0])
    for phase in facts["phases"]:
        phase["links"] = sorted({*phase["links"], link})
        phase["state"] = phase["state"][:link] + "G" + phase["state"][link + 1 :]
        phase["lanes"] = sorted({*phase["lanes"], arm})
    column = pa.array([json.dumps(facts), *texts[1:]])
    at = seen.things.column_names.index("facts")
    return replace(seen, things=seen.things.set_column(at, seen.things.schema.field(at), column))


def _frame(now: int, things: list[int], values: list[float]) -> pa.Table:
    n = len(things)
    return pa.table(
        {
            "id": np.array(things, dtype=np.int64),
            "stream": np.array(things, dtype=np.int64),
            "thing": np.array(things, dtype=np.int64),
            "time": pa.array([now] * n, FRAME.field("time").type),
            "until": pa.nulls(n, FRAME.field("until").type),
            "value": pa.array(values, pa.float64()),
            "text": pa.nulls(n, pa.string()),
            "quality": pa.nulls(n, pa.int16()),
        },
        schema=FRAME,
    )


def example_views() -> list[View]:
    """Views on which the practice must act: a queue, a full exit, a silent camera."""
    return [
        view(NOON, {"west": 6.0, "north": 1.0}, flows={"north": 2.0}),
        view(NOON, {"north": 8.0, "west": 3.0}, exits={"south": 5.0, "north": 5.0}),
        view(NOON, {"west": 6.0}, silent=(DETECTOR["camera", "west"],)),
    ]
