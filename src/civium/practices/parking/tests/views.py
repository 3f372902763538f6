"""Views of a small town with three car parks, twelve bays and a sign."""

from collections.abc import Mapping

import numpy as np

from civium.core import View
from civium.practices.parking import bench_feed as feed

NOON = 1_782_043_200_000_000  # 2026-06-21T12:00:00Z
MINUTE = 60_000_000
CAPACITY = {1: 100, 2: 40, 3: 250}
BAYS = tuple(range(10, 22))  # of car park 2


def town(
    counts: Mapping[int, float],
    now: int = NOON,
    *,
    taken: Mapping[int, float] | None = None,
    capacity: Mapping[int, object] = CAPACITY,
    signs: int = 1,
    cars: float = 60.0,
    age: int = 0,
) -> View:
    """Counts by car park, bays by thing; ``age`` [us] of the readings."""
    parks: list[feed.Row] = [
        (k, "car_park", f"P{k}", 24.94 + 0.004 * k, 60.17, {"code": f"P{k}", "capacity": c})
        for k, c in capacity.items()
    ]
    bays: list[feed.Row] = [(k, "parking_bay", f"bay {k}", 24.948, 60.17, {"car_park": "P2"}) for k in BAYS]
    guides: list[feed.Row] = [(100 + k, "sign", f"sign {k}", 24.944, 60.17, {}) for k in range(signs)]
    acts = feed.actuators(
        [(900 + k, 100 + k, "parking_guide", f"sign {k}", {"cars_per_hour": cars}) for k in range(signs)]
    )
    bay = taken or {}
    return feed.view(
        now,
        feed.things([*parks, *bays, *guides]),
        feed.frame(np.array(list(counts), np.int64), np.array(list(counts.values()), np.float64), now - age),
        acts,
        feed.frame(np.array(list(bay), np.int64), np.array(list(bay.values()), np.float64), now - age),
    )


def example_views() -> list[View]:
    """What ``civium check`` looks at beside its own."""
    bays = {k: float(k % 2) for k in BAYS}
    return [
        town({1: 30.0, 2: 20.0, 3: 249.0}, taken=bays),
        town({1: 100.0, 3: np.nan}, taken=dict.fromkeys(BAYS, 1.0), signs=3),
        town({1: 5.0, 2: -7.0, 3: 1e9}, capacity={1: 0, 2: 40, 3: "many"}),
    ]
