"""What the benchmarks feed: things with streams, and readings like those of a weather post."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import duckdb
import duckdb_extension_ducklake
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from civium.core.observations import MAX_ROWS, STORED

KIND, PROPERTY = "weather_post", "air_temperature"
INSTANT = pa.timestamp("us", tz="UTC")
ZERO_CELSIUS = 273.15  # [K]
_SQL = {"int64": "BIGINT", "int16": "SMALLINT", "double": "DOUBLE", "string": "VARCHAR"}


def posts(count: int, streams_each: int = 1) -> Iterator[dict[str, Any]]:
    """Register lines of things with streams in degree Celsius; a thing's first stream measures ``PROPERTY``."""
    for n in range(count):
        where = {"type": "Point", "coordinates": [24.9 + n % 1000 * 1e-4, 60.1 + n // 1000 * 1e-4]}
        streams = [{"property": PROPERTY if s == 0 else f"{PROPERTY}_{s}", "unit": "°C"} for s in range(streams_each)]
        yield {"key": f"post/{n}", "kind": KIND, "where": where, "streams": streams}


def lamps(things: Iterable[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """The same lines, the first ``count`` with a lamp."""
    for n, thing in enumerate(things):
        lamp = {"key": f"lamp/{n}", "protocol": "mqtt", "facts": {"minimum": 0, "maximum": 100, "safe": 50}}
        yield {**thing, "actuators": [lamp] if n < count else []}


def hours_before_today(hours: float) -> int:
    """That many hours before last midnight [us since epoch]: a full day lies behind it, wherever a run falls."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((midnight - timedelta(hours=hours)).timestamp()) * 1_000_000


def readings(streams: int, each: int, start: int, seed: int) -> pa.Table:
    """``each`` readings [°C] of the streams 1 to ``streams``, a second apart from ``start`` [us since epoch]."""
    drift = np.random.default_rng(seed).normal(0.0, 0.1, (each, streams)).cumsum(axis=0)
    value = np.round(12.0 + drift, 2)
    time = start + np.repeat(np.arange(each, dtype=np.int64), streams) * 1_000_000
    stream = np.tile(np.arange(1, streams + 1, dtype=np.int64), each)
    return pa.table({"stream": stream, "time": pa.array(time).cast(INSTANT), "value": value.ravel()})


def last_values(table: pa.Table, streams: int) -> NDArray[np.float64]:
    """The last reading of each stream [K]: ``readings`` end with one of each."""
    return table.column("value").to_numpy()[-streams:] + ZERO_CELSIUS


def as_arrow(table: pa.Table) -> bytes:
    """The body of the Arrow door."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def as_data_array(table: pa.Table, streams: int) -> bytes:
    """The body of CreateObservations: one group a stream, with phenomenonTime and result."""
    times = [f"{text}Z" for text in np.datetime_as_string(table.column("time").to_numpy()[::streams], unit="s")]
    values = table.column("value").to_numpy().reshape(-1, streams)
    groups = [
        {
            "Datastream": {"@iot.id": n + 1},
            "components": ["phenomenonTime", "result"],
            "dataArray": list(zip(times, values[:, n].tolist(), strict=True)),
        }
        for n in range(streams)
    ]
    return json.dumps(groups, separators=(",", ":")).encode()


def stored_values(folder: Path) -> list[int]:
    """The results [°C, whole numbers] that the history of a stopped city holds, in ascending order."""
    (extension,) = Path(duckdb_extension_ducklake.__file__).parent.rglob("*.duckdb_extension")
    with duckdb.connect() as lake:
        lake.execute(f"LOAD '{extension}'")
        lake.execute(f"ATTACH 'ducklake:{folder / 'lake' / 'lake.duckdb'}' AS lake (READ_ONLY)")
        sql = f"SELECT round(value - {ZERO_CELSIUS})::BIGINT AS v FROM lake.observations ORDER BY v"
        values: list[int] = lake.execute(sql).fetchnumpy()["v"].tolist()
        return values


def bare_insert(table: pa.Table, folder: Path) -> float:
    """Seconds that DuckLake alone needs to insert the rows, committed, into the table that the store uses.

    As fast as we know to: columns that are all null are left out, instants have no zone, parts are as in the log.
    """
    folder.mkdir(parents=True)
    (extension,) = Path(duckdb_extension_ducklake.__file__).parent.rglob("*.duckdb_extension")
    columns = ", ".join(f'"{f.name}" {_SQL.get(str(f.type), "TIMESTAMP")}' for f in STORED)
    time = table.column("time").cast(pa.timestamp("us"))
    used = {"id": np.arange(table.num_rows), "stream": table.column("stream"), "time": time, "made": time}
    whole = pa.table({**used, "value": table.column("value")}).combine_chunks()
    batch = pa.Table.from_batches(whole.to_batches(max_chunksize=MAX_ROWS))
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB", "preserve_insertion_order": "false"}) as lake:
        lake.execute(f"LOAD '{extension}'")
        lake.execute(f"ATTACH 'ducklake:{folder / 'bare.duckdb'}' AS lake (DATA_PATH '{folder / 'data'}')")
        lake.execute("CALL lake.set_option('parquet_compression', 'zstd')")
        lake.execute("CALL lake.set_option('parquet_version', '2')")
        lake.execute(f"CREATE TABLE lake.observations ({columns})")
        lake.execute("ALTER TABLE lake.observations SET PARTITIONED BY (year(time), month(time), day(time))")
        lake.register("batch", batch)
        started = perf_counter()
        lake.execute("INSERT INTO lake.observations BY NAME SELECT * FROM batch")
        return perf_counter() - started
