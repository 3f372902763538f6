"""What a running city says of its insides to whoever examines it: streams, tables, files, blobs."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from civium.core.observations import log_stream
from civium.engines import log_letters
from civium.ledger.projection import DECISIONS

if TYPE_CHECKING:
    from civium.city import City

_SMALL_BYTES = 1024 * 1024
_YOUNG_S = 3600.0  # a file may be of a commit that is under way
_LOOKED_AT = 500  # decisions whose states are looked for
_NAMED = """
SELECT path FROM __ducklake_metadata_lake.ducklake_data_file
UNION ALL SELECT path FROM __ducklake_metadata_lake.ducklake_delete_file
UNION ALL SELECT path FROM __ducklake_metadata_lake.ducklake_files_scheduled_for_deletion
"""


async def checkup(city: "City") -> dict[str, Any]:
    """The log's streams, how far each table has come in them, the files of the store, and missing states."""
    streams = {name: await log_letters.state(city.log, name) for name in city.log.streams}
    return {
        "streams": {
            name: {key: state[key] for key in ("messages", "bytes", "first_seq", "last_seq")}
            for name, state in streams.items()
        },
        "store": {
            **await asyncio.to_thread(_store, city),
            "applied": {log_stream(shard): city.stored.at(shard) for shard in range(city.log.shards)},
        },
        "catalogue": {"applied": city.catalog.applied()},
        "record": {"applied": city.ledger.projection.applied},
        "letters": await city.letters.counts(),
        "blobs": await _states(city),
    }


def _store(city: "City") -> dict[str, Any]:
    """Files of the observations, the small ones among them, and Parquet files that no table names."""
    with city.store.cursor() as cursor:
        listed = cursor.execute("SELECT data_file_size_bytes FROM ducklake_list_files('lake', 'observations')")
        sizes = [row[0] for row in listed.fetchall()]
        named = {row[0].rpartition("/")[2] for row in cursor.execute(_NAMED).fetchall()}
    old = time.time() - _YOUNG_S
    data = Path(city.store.data)
    orphans = [p for p in data.rglob("*.parquet") if p.name not in named and p.stat().st_mtime < old]
    return {
        "files": len(sizes),
        "small": sum(size < _SMALL_BYTES for size in sizes),
        "bytes": sum(sizes),
        "orphans": len(orphans),
        "orphan_bytes": sum(p.stat().st_size for p in orphans),
    }


async def _states(city: "City") -> dict[str, Any]:
    """The states of the last decisions that are younger than their retention, and those that are missing."""
    oldest = city.clock.now() - int(city.settings.store.state_days * 86400 * 1e6)
    query = select(DECISIONS.c.seq).where(DECISIONS.c.tick > oldest).order_by(DECISIONS.c.seq.desc()).limit(_LOOKED_AT)
    rows = await asyncio.to_thread(city.ledger.projection.rows, query)
    entries = [await city.ledger.entry(row["seq"]) for row in rows]
    wanted = sorted({entry[key] for entry in entries for key in ("state_in", "state_out") if entry.get(key)})
    missing = await asyncio.to_thread(lambda: [name for name in wanted if not city.blobs.has(name)])
    return {"wanted": len(wanted), "missing": missing[:10], "missing_count": len(missing)}
