"""A what-if: days of a town to come, driven under several policies; one trial is one day, one policy and one seed.

A practice's ``whatif.py`` defines ``POLICIES`` (what each means, by name), ``MEASURES`` (the unit of each figure, of
which less is better), ``grounds(future: Future, say) -> Iterator[Ground]``, and ``drive(ground, policy, params) ->
dict[str, float]``, which runs in a worker, on whatever machine, and knows nothing but what it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Future:
    """The days that are asked for: ``factors`` of today's demand, one a day; ``seeds`` of chance.

    ``scenario`` is a simulated town to drive (a file or folder), else the sandbox's town of the OpenStreetMap extract
    ``town`` is, with its cache in ``work``, for ``minutes`` from the local ``hour`` on.
    """

    factors: tuple[float, ...]
    seeds: tuple[int, ...]
    scenario: Path | None
    town: Path
    work: Path
    hour: float
    minutes: int


@dataclass(frozen=True, slots=True)
class Ground:
    """One day under one seed: all ``files`` that it takes by name, and the practice's own ``facts`` about them."""

    day: int
    seed: int
    files: Mapping[str, bytes]
    facts: Any
