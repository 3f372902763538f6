"""What every test may ask for: the recorded data that lies beside the repository."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio  # noqa: F401 (first: tests import SUMO, whose wheel points PROJ at an older database than rasterio takes)
from hypothesis import settings

# A busy machine is no failure of the code under test.
settings.register_profile("civium", deadline=None)
settings.load_profile("civium")

REPOSITORY = Path(__file__).resolve().parent


def data_folder() -> Path:
    """The folder of recorded data: CIVIUM_BENCH_DATA, else ``shared/data`` beside the repository."""
    return Path(os.environ.get("CIVIUM_BENCH_DATA") or REPOSITORY.parent / "shared" / "data")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """``shared_data("resco")``: the path of recorded data; absent, the test is skipped, and under CI it fails."""

    def find(name: str) -> Path:
        path = data_folder() / name
        if not path.exists():
            why = f"the recorded data '{name}' are not here: set CIVIUM_BENCH_DATA to the folder that holds them"
            if os.environ.get("CI"):
                pytest.fail(why)
            pytest.skip(why)
        return path

    return find


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY
