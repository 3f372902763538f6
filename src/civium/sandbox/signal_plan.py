"""A signal's program as an engineer's plan: its stages, and the yellow and clearance times that it keeps."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from civium.sandbox.sumo_net import Program

GREEN = frozenset("GgsoO")
MIN_GREEN_S = 5.0
YELLOW_S = 3.0
LONGEST_CLEARANCE_S = 5.0
WALK_M_S = 1.2  # walking speed for clearance, RiLSA 2015 and MUTCD 4E.06 (1.07..1.2 m/s)


@dataclass(frozen=True, slots=True)
class Movement:
    """A way over the junction, shown by signal ``link``; ``length`` [m] of a crossing, 0 for vehicles."""

    link: int
    from_lane: str
    to_lane: str
    turn: str
    pedestrian: bool
    length: float


def protect(state: str, conflicts: NDArray[np.bool_], yields: NDArray[np.bool_]) -> str:
    """The state without two conflicting protected greens."""
    shown = list(state)
    for i in range(len(shown)):
        for j in range(i + 1, len(shown)):
            if shown[i] == "G" == shown[j] and conflicts[i, j]:
                shown[i if yields[i, j] and not yields[j, i] else j] = "g"
    return "".join(shown)


def in_order(program: Program) -> list[tuple[str, float]]:
    """Phases in the order in which they are shown, following ``next`` where it is given."""
    order: list[int] = []
    at = 0
    while at not in order and 0 <= at < len(program.phases):
        order.append(at)
        following = program.phases[at].following
        at = at + 1 if following is None else following
        at %= len(program.phases)
    return [(program.phases[i].state, program.phases[i].duration) for i in order]


def stages(plan: list[tuple[str, float]], walking: list[bool]) -> tuple[str, ...]:
    """The plan's green phases without those that only clear a crossing or are a step of a change."""
    total: dict[str, float] = {}
    for state, duration in plan:
        if not set(state) & set("yu") and set(state) & set("Ggs"):
            total[state] = total.get(state, 0.0) + duration
    rank = {"G": 2, "g": 1, "s": 1, "o": 1, "O": 1}

    def within(a: str, b: str) -> bool:
        return a != b and all(rank.get(p, 0) <= rank.get(q, 0) for p, q in zip(a, b, strict=True))

    def same_for_vehicles(a: str, b: str) -> bool:
        return all(p == q or w for p, q, w in zip(a, b, walking, strict=True))

    def needless(a: str) -> bool:
        return any(within(a, b) and (total[a] <= MIN_GREEN_S or same_for_vehicles(a, b)) for b in total)

    return tuple(state for state in total if not needless(state))


def runs(plan: list[tuple[str, float]], link: int, signs: Iterable[str]) -> list[float]:
    """Durations [s] of the unbroken runs of ``signs`` at a link in the cyclic plan; empty if never or always."""
    marks = [(state[link] in frozenset(signs), duration) for state, duration in plan]
    first = next((i for i in range(len(marks)) if not marks[i - 1][0] and marks[i][0]), None)
    if first is None:
        return []
    runs: list[float] = []
    before = False
    for shown, duration in marks[first:] + marks[:first]:
        if shown and before:
            runs[-1] += duration
        elif shown:
            runs.append(duration)
        before = shown
    return runs


def yellow(plan: list[tuple[str, float]], link: int, speed: float) -> float:
    """Yellow time [s] of a link: the plan's own, else 3 s up to 50 km/h and 1 s more for each further 10 km/h."""
    planned = runs(plan, link, "y")
    if planned:
        return min(planned)
    return min(6.0, YELLOW_S + max(0.0, float(np.ceil((speed - 13.9) / 2.78 - 1e-9))))


def clearance(
    plan: list[tuple[str, float]], conflicts: NDArray[np.bool_], walking: list[bool], movements: tuple[Movement, ...]
) -> NDArray[np.float64]:
    """``[j, i]``: time [s] that j must be red before i turns green: never more than the plan itself leaves."""
    n = len(conflicts)
    red_for_all = [d for s, d in plan if not set(s) & (GREEN | {"y"})]
    usual = min(max(red_for_all, default=0.0), LONGEST_CLEARANCE_S)
    crossing = np.zeros(n)
    for m in movements:
        crossing[m.link] = max(crossing[m.link], m.length / WALK_M_S)
    clearance = np.zeros((n, n))
    for j, i in np.argwhere(conflicts):
        wanted = float(np.ceil(crossing[j])) if walking[j] else usual
        clearance[j, i] = min([wanted, *gaps(plan, int(j), int(i))])
    return clearance


def gaps(plan: list[tuple[str, float]], ending: int, starting: int) -> list[float]:
    """Times [s] in the plan from the end of a link's green and yellow to the start of another's green."""
    gaps: list[float] = []
    since: float | None = None
    for state, duration in plan + plan:
        if since is not None and state[starting] in GREEN:
            gaps.append(since)
            since = None
        if state[ending] in GREEN or state[ending] == "y":
            since = 0.0
        elif since is not None:
            since += duration
    return gaps
