"""Optional dependencies: import a module of an extra when it is first needed, or say which line installs it."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import pyarrow as pa

from civium.core.errors import CiviumError

PROJECTIONS = ("PROJ_DATA", "PROJ_LIB")  # where PROJ looks for its database, by its newer and its older name


class ExtraMissing(CiviumError):
    """A library of an optional extra is not installed. Whoever runs the command must install it."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"this needs the library '{module}', which is not installed: pip install \"civium[{extra}]\"")
        self.module = module
        self.extra = extra


def require(module: str, extra: str) -> ModuleType:
    """Import ``module`` (dotted name) and return it; ``ExtraMissing`` names the install line of ``extra`` if absent.

    A library that is installed but fails while it is imported raises its own error: reinstalling would not cure it.
    """
    try:
        with projections_kept():
            return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        raise ExtraMissing(module.partition(".")[0], extra) from error


@contextmanager
def projections_kept() -> Iterator[None]:
    """Undo what is done inside to PROJ's search path.

    SUMO's wheels point the whole process at their own, older database, which rasterio then refuses.
    """
    before = {name: os.environ.get(name) for name in PROJECTIONS}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def arrow_without_pandas() -> None:
    """Let pyarrow not load pandas, which it does with the first array that it makes, should it meet a Series later.

    A process that serves a city has no Series, and takes in readings half a second sooner after a crash. Whoever
    imports pandas itself gets it as ever.
    """
    if "pandas" in sys.modules:
        return
    too_old = ModuleType("pandas")
    too_old.__version__ = "0"  # type: ignore[attr-defined]  # pyarrow looks once, and lets it be
    sys.modules["pandas"] = too_old
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pa.array([0])
    finally:
        del sys.modules["pandas"]
