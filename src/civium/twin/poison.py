"""Log messages that cannot be folded: they are kept with the reason, so that the writer goes on with the next."""

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from civium.core import Clock
from civium.core.observations import MAX_ROWS, OBSERVATION, are_corrections, decode
from civium.core.view import column
from civium.engines.log import Log
from civium.engines.log_letters import written

# What a message itself is at fault for; a full disk, a lake that is locked or a log that is away is not among them.
AT_FAULT = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.InvalidInputException,
    pa.ArrowInvalid,
    pa.ArrowTypeError,
    ValueError,
    TypeError,
    OverflowError,
)
# [us since epoch], what a calendar of four digits can say
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
NOTHING = OBSERVATION.empty_table()


def opened(data: bytes) -> pa.Table:
    """The rows of a log message; raises ValueError or an error of Arrow when no writer could fold them."""
    table = decode(data)
    if table.num_rows > MAX_ROWS:
        raise ValueError(f"it holds {table.num_rows} rows; at most {MAX_ROWS} are allowed")
    if table.num_rows and int(column(table, "stream").min()) < 1:
        raise ValueError("it holds a row of no Datastream")
    corrections = ("corrects", "gone", "was_stream", "was_time") if are_corrections(table) else ()
    for name in ("stream", "time", "made", *corrections):
        if table.column(name).null_count:
            raise ValueError(f"it holds a row without its {name}")
    for name in ("time", "until", "made", *(name for name in corrections if name == "was_time")):
        instants = table.column(name).drop_null().cast(pa.int64())
        if len(instants) and not FIRST <= pc.min(instants).as_py() <= pc.max(instants).as_py() <= LAST:
            raise ValueError(f"it holds a row whose {name} lies outside the years 1 to 9999")
    return table


def readable(data: bytes) -> pa.Table:
    """The rows of a log message; none when it cannot be read: whoever writes keeps such a message."""
    try:
        return opened(data)
    except AT_FAULT:
        return NOTHING


async def bury(log: Log, clock: Clock, stream: str, sequence: int, error: Exception) -> None:
    """Keep a log message that cannot be folded in ``POISON``, once."""
    subject = f"writer.{stream}.{sequence}"
    if await log.last_of("POISON", f"civium.poison.{subject}") is None:
        why = f"the writer cannot fold it: {type(error).__name__}: {error}"
        data = (await log.get(stream, sequence)).data
        letter = written("writer", f"{stream}/{sequence}", why, data, clock.now())
        await log.publish("POISON", letter, subject=subject, key=subject)
