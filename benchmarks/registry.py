"""What a benchmark is: one small file that registers one function; it yields figures, each beside its floor."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_Size = TypeVar("_Size")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    ``floor`` is what the bare engine needed for the same work in the same run, in the same ``unit``; ``aim`` is what
    the full size should reach. ``higher`` is set where more is better.
    """

    what: str
    value: float
    unit: str
    floor: float
    floor_is: str
    aim: float | None = None
    higher: bool = False

    @property
    def ratio(self) -> float:
        """How many times the floor."""
        return self.value / self.floor if self.floor else float("inf")

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None when there is none."""
        return None if self.aim is None else self.value >= self.aim if self.higher else self.value <= self.aim


@dataclass(frozen=True, slots=True)
class Run:
    """What a benchmark is given: an empty folder of its own, the size, and where to say how far it is."""

    folder: Path
    smoke: bool
    say: Callable[[str], None]

    def size(self, full: _Size, smoke: _Size) -> _Size:
        """The full size, or the smallest honest one."""
        return smoke if self.smoke else full


Function = Callable[[Run], Iterable[Figure]]
BENCHMARKS: dict[str, Function] = {}


class WrongAnswer(Exception):
    """The city did not give back what was put in: a figure would be worth nothing."""


def benchmark(function: Function) -> Function:
    """Register a benchmark under the name of its file."""
    BENCHMARKS[function.__module__.rpartition(".")[2]] = function
    return function


def discover(folder: Path) -> dict[str, Function]:
    """Import every file of the folder (it must be importable); returns the benchmarks in the order of their names."""
    for path in sorted(folder.glob("*.py")):
        if path.stem != "run":
            importlib.import_module(path.stem)
    return dict(sorted(BENCHMARKS.items()))


def require(condition: bool, wrong: str) -> None:
    """Raise WrongAnswer unless the condition holds."""
    if not condition:
        raise WrongAnswer(wrong)


def line(figure: Figure, *, smoke: bool) -> str:
    """A figure as one line of the report."""
    told = (
        f"{figure.what:<72} {_number(figure.value):>9} {figure.unit:<8} "
        f"{figure.ratio:>8.2f} x {_number(figure.floor):>9} {figure.unit} ({figure.floor_is})"
    )
    if figure.aim is None:
        return told
    sign = ">" if figure.higher else "<"
    verdict = "not judged at this size" if smoke else "met" if figure.met else "MISSED"
    return f"{told}; aim {sign} {_number(figure.aim)} {figure.unit}: {verdict}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
