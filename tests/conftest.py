"""What the tests of several rooms share: a PostgreSQL of our own, and a new catalogue in each of its databases."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from civium.engines.catalog import Catalog
from tests.cluster.stand import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for the whole run; where none is installed the test is skipped, and under CI it fails."""
    # Not in pytest's own folder, which another run shuts to every user but its own.
    with TemporaryDirectory(prefix="civium-postgres-", ignore_cleanup_errors=True) as folder:
        try:
            server = Postgres(Path(folder)).start()
        except FileNotFoundError as missing:
            if os.environ.get("CI"):
                pytest.fail(str(missing))
            pytest.skip(str(missing))
        yield server
        server.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """``new_catalog()``: the URL of a catalogue that is not there yet, or empty; in each kind of database in turn."""
    if request.param == "sqlite":
        folder: Path = tmp_path_factory.mktemp("catalogues")
        return lambda: f"sqlite:///{folder / uuid4().hex / 'catalog.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    made = server.create(f"template_{uuid4().hex}")
    Catalog.open(f"postgresql:{made}").close()
    return lambda: f"postgresql:{server.create(uuid4().hex, made.rpartition('/')[2])}"
