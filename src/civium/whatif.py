"""What-if: the same days of a town to come under each of several policies, beside one another, with intervals.

All days and seeds are driven under all policies, on the compute engine; so a difference between two policies is taken
day by day and seed by seed, and chance that they share drops out of it.
"""

import asyncio
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from civium.bench.trial import Future, Ground
from civium.core import InputRefused
from civium.core.wire import convert_params
from civium.engines.compute import Compute
from civium.practices.discovery import load_practices

DEADLINE_S = 7200.0  # of one trial
# Student's t at 97.5 % for 1 .. 10 degrees of freedom; from there on 1.96 + 2.5 / n is near enough (2.23 at 10)
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy by name, with parameters of the practice that are not the defaults; ``text`` is how it was written."""

    text: str
    name: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """What came of it: ``figures[measure]`` has a value for each policy, day and seed."""

    policies: tuple[Policy, ...]
    units: Mapping[str, str]
    figures: Mapping[str, NDArray[np.float64]]


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of some seeds' values and half the width of its 95 % confidence interval; NaN for a single seed."""
    n = len(values)
    if n < 2:
        return float(values.mean()), float("nan")
    student = _STUDENT[n - 2] if n - 1 <= len(_STUDENT) else 1.96 + 2.5 / (n - 1)
    return float(values.mean()), float(student * values.std(ddof=1) / np.sqrt(n))


def policies_of(practice: str, texts: Sequence[str]) -> tuple[ModuleType, tuple[Policy, ...]]:
    """The what-if module of a practice and its policies, of texts such as ``fixed`` or ``adaptive:{"patience": 30}``.

    Raises ``InputRefused`` for what there is not.
    """
    found = load_practices().found.get(practice)
    if found is None:
        raise InputRefused(f"no practice '{practice}' is installed")
    name = f"{found.decide.__module__.rpartition('.')[0]}.whatif"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise InputRefused(f"{practice} has no what-if; try: civium backtest {practice} --what-if JSON") from None
    chosen = []
    for text in texts:
        policy, _, given = text.partition(":")
        if policy not in module.POLICIES:
            known = "; ".join(f"{key}: {means}" for key, means in module.POLICIES.items())
            raise InputRefused(f"--policy {text}: {practice} has no policy '{policy}' ({known})")
        try:
            params = msgspec.json.decode(given, type=dict[str, Any]) if given else {}
            convert_params(found.params, params)
        except (msgspec.MsgspecError, ValueError) as error:
            raise InputRefused(f"--policy {text}: {error}") from None
        chosen.append(Policy(text, policy, params))
    return module, tuple(chosen)


async def foresee(
    module: ModuleType,
    policies: tuple[Policy, ...],
    future: Future,
    compute: Compute,
    say: Callable[[str, float], None],
) -> Effect:
    """Drive all days; ``say`` hears what is done and the share of it. What a trial raises comes through."""
    grounds: list[Ground] = list(module.grounds(future, lambda text: say(text, 0.0)))
    if len({(g.day, g.seed) for g in grounds}) != len(grounds):
        raise InputRefused("the scenario's folder holds more than one town; name the .sumocfg of one")
    size = (len(policies), len(future.factors), len(future.seeds))
    figures = {measure: np.full(size, np.nan) for measure in module.MEASURES}
    trials = [(p, ground) for ground in grounds for p in range(len(policies))]
    done = 0

    async def drive(p: int, ground: Ground) -> None:
        nonlocal done
        policy = policies[p]
        told = await compute.run(module.drive, ground, policy.name, dict(policy.params), deadline=DEADLINE_S)
        for measure, value in told.items():
            figures[measure][p, ground.day, future.seeds.index(ground.seed)] = value
        done += 1
        say(f"{done} of {len(trials)} days driven", done / len(trials))

    say(f"0 of {len(trials)} days driven", 0.0)
    await asyncio.gather(*(drive(p, ground) for p, ground in trials))
    return Effect(policies, module.MEASURES, figures)
