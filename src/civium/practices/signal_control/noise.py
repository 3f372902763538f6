"""What real detectors do to readings: miscounts, dropped frames, bias, and failure; drawn apart from the simulation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from civium.sandbox.detectors import Column, Detector

_WAYS = 3  # a detector fails silent, stuck, or with nonsense


@dataclass(frozen=True, slots=True)
class Noise:
    """Shares (0..1) of vehicles that are missed and counted twice, of readings dropped, of detectors that fail; sd of
    each detector's own bias of counts."""

    missed: float = 0.1
    double: float = 0.03
    dropped: float = 0.05
    bias: float = 0.1
    failed: float = 0.1


class NoisyDetectors:
    """The detectors of one run; those that fail do so at an instant of the first half of ``span`` [turns]."""

    def __init__(self, detectors: Sequence[Detector], noise: Noise, seed: int, span: int) -> None:
        self._rng = np.random.default_rng([seed, 0x5E])
        n = len(detectors)
        self._noise = noise
        self._gain = np.clip(self._rng.normal(1.0, noise.bias, n), 0.5, 1.5)
        fails = self._rng.permutation(n) < round(noise.failed * n)
        self._end = np.where(fails, self._rng.integers(0, max(span // 2, 1), n), span + 1)
        self._way = self._rng.integers(0, _WAYS, n)
        self._turn = 0
        self._last: dict[str, dict[int, float]] = {}

    def __call__(self, columns: Mapping[str, Column]) -> dict[str, Column]:
        """What arrives of one turn's readings."""
        self._turn += 1
        lost = self._rng.random(len(self._gain)) < self._noise.dropped
        return {name: self._measured(name, column, lost) for name, column in sorted(columns.items())}

    def _measured(self, name: str, column: Column, lost: NDArray[np.bool_]) -> Column:
        at, value = column.detector, column.value
        if name in ("vehicle_count", "queue_length", "vehicle_flow"):
            whole = np.maximum(value, 0).astype(np.int64)
            seen = self._rng.binomial(whole, 1.0 - self._noise.missed) + self._rng.binomial(whole, self._noise.double)
            value = np.round(seen * self._gain[at])
        failed = self._turn > self._end[at]
        kept = self._last.setdefault(name, {})
        stuck = np.array([kept.get(int(d), 0.0) for d in at])
        for d, v, gone in zip(at.tolist(), value.tolist(), failed.tolist(), strict=True):
            if not gone:
                kept[d] = v
        nonsense = self._rng.choice([-1.0, 1e6], len(at))
        way = self._way[at]
        value = np.where(failed & (way == 1), stuck, np.where(failed & (way == 2), nonsense, value))
        arrives = ~lost[at] & ~(failed & (way == 0))
        return Column(at[arrives], value[arrives])
