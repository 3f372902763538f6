"""How a lake is attached: catalogue in a local DuckDB file or in PostgreSQL, Parquet on a local disk or on S3."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb

from civium.core import EngineUnsuitable
from civium.core.extras import require

_LOCKED_S = 30.0
_ONE_AT_A_TIME = 0x636976  # the advisory lock of whoever makes or changes the tables of a lake


def extension(name: str = "ducklake") -> Path:
    """The file of one of DuckDB's own extensions, from its wheel: nothing is downloaded at run time."""
    module = f"duckdb_extension_{name}"
    package = import_module(module) if name == "ducklake" else require(module, "cluster")
    found = sorted(Path(str(package.__file__)).parent.rglob("*.duckdb_extension"))
    if not found:
        raise EngineUnsuitable("store", f"DuckDB's '{name}' is missing in the package {module}: install it again")
    return found[0]


def _load(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute(f"LOAD '{_quoted(str(extension(name)))}'")


def attach_local(connection: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """Attach the lake in a local folder as ``lake``: one process only. Returns where its data are.

    Waits for another that is about to let go of it.
    """
    _load(connection, "ducklake")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    # The folder may have been moved, or restored elsewhere, since the lake wrote its path down.
    options = f"DATA_PATH '{_quoted(str(folder / 'data'))}', OVERRIDE_DATA_PATH true, DATA_INLINING_ROW_LIMIT 0"
    deadline = monotonic() + _LOCKED_S
    while True:
        try:
            connection.execute(f"ATTACH 'ducklake:{_quoted(str(folder / 'lake.duckdb'))}' AS lake ({options})")
            return str(folder / "data")
        except duckdb.Error as error:
            if "set lock" not in str(error) or monotonic() > deadline:
                raise EngineUnsuitable("store", f"cannot open the lake in {folder}: {error}") from error
            sleep(0.1)


def attach_shared(connection: duckdb.DuckDBPyConnection, rest: str) -> str:
    """Attach a lake that many processes share: ``//user@host:port/database?data=s3://bucket/path`` as ``lake``.

    ``data`` may also be a folder that all nodes mount; it is returned. Credentials of S3 come from the usual
    ``AWS_*`` environment, PostgreSQL's password from the URL or ``PGPASSWORD``.
    """
    for name in ("ducklake", "postgres_scanner"):
        _load(connection, name)
    parts = urlsplit(f"postgresql:{rest}")
    data = parse_qs(parts.query).get("data", [""])[0]
    if not parts.hostname or not parts.path.strip("/") or not data:
        raise EngineUnsuitable(
            "store", "write ducklake+postgresql://user@host:5432/database?data=s3://bucket/path (or a mounted folder)"
        )
    if data.startswith("s3://"):
        _load(connection, "httpfs")
        connection.execute(_s3_secret())
    else:
        Path(data).mkdir(parents=True, exist_ok=True)
    options = f"DATA_PATH '{_quoted(data.rstrip('/'))}/', DATA_INLINING_ROW_LIMIT 0"
    database = parts._replace(query="").geturl()
    try:
        connection.execute(f"ATTACH 'ducklake:postgres:{_quoted(database)}' AS lake ({options})")
    except duckdb.Error as error:
        said = str(error).replace(parts.password or "\0", "***").replace(unquote(parts.password or "\0"), "***")
        raise EngineUnsuitable("store", f"cannot open the lake of {parts.hostname}{parts.path}: {said}") from None
    return data


@contextmanager
def alone(rest: str) -> Iterator[None]:
    """While processes start together, one at a time makes or changes the tables of a shared lake."""
    psycopg = require("psycopg", "cluster")
    parts = urlsplit(f"postgresql:{rest}")
    try:
        connection = psycopg.connect(parts._replace(query="").geturl(), connect_timeout=10)
    except psycopg.OperationalError as error:
        raise EngineUnsuitable("store", f"PostgreSQL at {parts.hostname} does not let us in: {error}") from None
    with connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_ONE_AT_A_TIME])
        yield


def _s3_secret() -> str:
    """Credentials and endpoint of S3, from the environment that every S3 tool reads."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    given = {
        "KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", ""),
        "SECRET": os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
        "SESSION_TOKEN": os.environ.get("AWS_SESSION_TOKEN", ""),
        "REGION": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
    }
    options = [f"{name} '{_quoted(value)}'" for name, value in given.items() if value]
    if endpoint:  # another than Amazon's: its buckets are paths
        split = urlsplit(endpoint)
        options += [f"ENDPOINT '{_quoted(split.netloc)}'", "URL_STYLE 'path'"]
        options.append(f"USE_SSL {'true' if split.scheme == 'https' else 'false'}")
    return f"CREATE OR REPLACE SECRET lake_s3 (TYPE s3, {', '.join(options)})"


def _quoted(text: str) -> str:
    """For a place where SQL takes no parameter."""
    return text.replace("'", "''")
