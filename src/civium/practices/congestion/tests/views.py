"""Views of a small town: a main street of four segments, and a street round its third one."""

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from civium.core import View
from civium.core.view import ACTUATORS, FRAME, INSTANT, THINGS

MONDAY = 1_780_272_000_000_000  # 2026-06-01T00:00:00Z
MINUTE = 60_000_000
LEADS = {1: [2], 2: [3, 5], 3: [4], 4: [], 5: [6], 6: [4]}  # 5 and 6 go round 3
LENGTH = {1: 400.0, 2: 400.0, 3: 400.0, 4: 400.0, 5: 500.0, 6: 500.0}
FREE = 14.0


def facts(segment: int) -> dict[str, object]:
    return {
        "code": f"s{segment}", "length_m": LENGTH[segment], "free_speed_m_s": FREE, "lanes": 1,
        "leads_to": [f"s{n}" for n in LEADS[segment]],
    }  # fmt: skip


def town(
    speed: Mapping[int, float],
    now: int,
    flow: Mapping[int, float] | None = None,
    told: Mapping[int, dict[str, object]] | None = None,
    age: int = 0,
) -> View:
    """Speeds [m/s] and flows [vehicles a minute] by segment, read ``age`` [us] ago."""
    known = told if told is not None else {k: facts(k) for k in LEADS}
    rows = [(k, "street_segment", f"Street {k}", 24.9, 60.2, json.dumps(f)) for k, f in sorted(known.items())]
    rows.append((99, "driver_terminals", "Terminals", 24.9, 60.2, "{}"))
    return View(
        now=now,
        cut={},
        frames={"speed": frame(speed, now - age), "flow": frame(flow or {}, now - age)},
        things=pa.table(
            [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), THINGS, strict=True)], schema=THINGS
        ),
        actuators=pa.table([[7], [99], ["driver_terminals"], ["Terminals"], ["{}"]], schema=ACTUATORS),
    )


def frame(values: Mapping[int, float], at: int) -> pa.Table:
    things, value = np.array(sorted(values), np.int64), np.array([values[k] for k in sorted(values)], np.float64)
    told = {
        "id": pa.array(things), "stream": pa.array(things), "thing": pa.array(things), "value": pa.array(value),
        "time": pa.array(np.full(len(things), at)).cast(INSTANT),
    }  # fmt: skip
    return pa.table([told.get(f.name, pa.nulls(len(things), f.type)) for f in FRAME], schema=FRAME)


def example_views() -> list[View]:
    """What ``civium check`` looks at beside its own."""
    flows = dict.fromkeys(LEADS, 8.0)
    return [
        town(dict.fromkeys(LEADS, 12.0), MONDAY, flows),
        town({1: 1.0, 2: 0.5, 3: 0.2, 4: np.nan, 5: 14.0}, MONDAY, flows),
        town({1: -4.0, 2: 1e9, 3: 3.0}, MONDAY, told={1: {"length_m": "long"}, 2: {}, 3: {"leads_to": ["nowhere", 3]}}),
    ]
