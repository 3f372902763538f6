"""What the rules about faults share: the case they look at, and how a finding is kept in the memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from civium.practices.pv_fleet.memory import HISTORY, NEVER, Memory
from civium.practices.pv_fleet.model import Floats
from civium.practices.pv_fleet.readings import Bools, Ints


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of plants ``rows`` began (``began``) or is over, by ``kind``; ``detail`` says how it shows itself."""

    kind: int
    rows: Ints
    began: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FleetProfile:
    """What the half hours of all plants have in common (weather that the stations misjudge) and how far they spread."""

    shared: Floats
    rough: Floats


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules look at: the memory and the plants ``rows`` [P] whose day closed.

    ``ratio`` [P, HISTORY] the log ratio to model and neighbours, ``restless`` how far the plants' ratios have moved
    apart of late (1.48 MAD), ``usual`` [P] the energy of a usual day [h of nominal power], ``weight`` [P, 5] the trust
    in the facts' plane.
    """

    m: Memory
    rows: Ints
    ratio: Floats
    restless: float
    usual: Floats
    common: FleetProfile
    weight: Floats


def column_days(day: Ints) -> Ints:
    """Day number of each column of a history whose last column is ``day`` [P, HISTORY]."""
    return day[:, None].astype(np.int64) - np.arange(HISTORY - 1, -1, -1)


def known(ring: NDArray[Any], unknown: int) -> Floats:
    """A ring of small integers as numbers, NaN where ``unknown``."""
    return np.where(ring == unknown, np.nan, ring.astype(np.float64))


def begin(m: Memory, kind: int, rows: Ints, since: Ints, before: Floats, share: Floats, detail: str = "") -> Finding:
    """Put plants under notice for ``kind`` since day ``since``, with how they were before and the share it costs."""
    m["since"][rows, kind] = since
    m["before"][rows, kind] = before
    m["share"][rows, kind] = share
    return Finding(kind, rows, True, detail)


def end(m: Memory, kind: int, rows: Ints, detail: str = "") -> Finding:
    """Release plants from it."""
    m["since"][rows, kind] = NEVER
    return Finding(kind, rows, False, detail)


def active(m: Memory, kind: int) -> Bools:
    """Which plants are under notice for ``kind``."""
    return np.asarray(m["since"][:, kind] != NEVER)
