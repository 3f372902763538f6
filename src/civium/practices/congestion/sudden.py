"""Sudden slow-downs: a reading that lies further under the median of the last three than nearly any before it.

The drop is held against the 99th percentile of the drops that the same segment has shown, so that a segment whose
readings jump about needs a larger one. Of a series that rises when traffic slows (occupancy, travel time) the negative
is looked at.
"""

import numpy as np

from civium.practices.congestion.memory import FORGET, TOP, Bools, Floats, Memory

SHARE = 0.01  # of the drops, above the percentile
FEWEST = 60  # drops that must be known


def surprise(memory: Memory, value: Floats, new: Bools) -> Floats:
    """How many times its 99th percentile each segment's drop is; 0 where too little is known, or nothing is new [n]."""
    new = new & np.isfinite(value)
    last = memory["last"].astype(np.float64)
    ready = new & np.isfinite(last).all(axis=1)
    drop = np.where(ready, np.median(np.nan_to_num(last), axis=1) - np.nan_to_num(value), 0.0)
    usual = percentile(memory)
    with np.errstate(divide="ignore", invalid="ignore"):
        told = np.where(ready & np.isfinite(usual) & (usual > 0), drop / usual, 0.0)
    _count(memory, drop, ready)
    shifted = np.column_stack([np.nan_to_num(value, nan=np.nan), last[:, :2]])
    memory["last"] = np.where(new[:, None], shifted, last).astype(np.float32)
    return told


def percentile(memory: Memory) -> Floats:
    """The 99th percentile of the drops of each segment, linear between ranks; NaN until ``FEWEST`` are known [n]."""
    count = memory["drops"].astype(np.float64)
    rank = SHARE * np.maximum(count - 1, 0)
    low = np.minimum(np.floor(rank).astype(np.int64), TOP - 2)
    row = np.arange(len(count))
    top = memory["top"].astype(np.float64)
    with np.errstate(invalid="ignore"):
        told = top[row, low] * (1 - (rank - low)) + top[row, low + 1] * (rank - low)
    return np.where(count >= FEWEST, told, np.nan)


def _count(memory: Memory, drop: Floats, ready: Bools) -> None:
    grown = np.sort(np.column_stack([memory["top"], drop]), axis=1)[:, ::-1][:, :TOP]
    memory["top"] = np.where(ready[:, None], grown, memory["top"]).astype(np.float32)
    memory["drops"] = (memory["drops"] + ready).astype(np.float32)
    old = memory["drops"] >= FORGET  # half of what was seen is forgotten: every second one of the largest stays
    if old.any():
        half = np.full_like(memory["top"], -np.inf)
        half[:, : TOP // 2] = memory["top"][:, ::2]
        memory["top"] = np.where(old[:, None], half, memory["top"])
        memory["drops"] = np.where(old, memory["drops"] / 2, memory["drops"])
