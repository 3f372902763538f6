"""Where the readings of a stream are missing: found by the store, in one query over the stream's own rhythm."""

from typing import Any

from civium.city import City

MOST_GAPS = 200  # of one answer, the longest ones
_PATIENCE = 3  # a gap is longer than so many usual waits between two readings
_LEAST_S = 1.0  # and longer than this, however fast the stream speaks

# $1 stream, $2 start, $3 end, $4 as far back as the span is long, $5 patience, $6 least [us]
_GAPS = f"""
WITH told AS (
    SELECT epoch_us(time) AS instant, epoch_us(coalesce(until, time)) AS covered
    FROM observations WHERE stream = $1 AND time >= make_timestamp($4) AND time < make_timestamp($3)
), waits AS (
    SELECT instant, max(covered) OVER earlier AS before, instant - lag(instant) OVER (ORDER BY instant) AS wait
    FROM told
    WINDOW earlier AS (ORDER BY instant ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), usual AS (
    SELECT median(wait) FILTER (wait > 0) AS rhythm, count(*) FILTER (instant >= $2) AS n FROM waits
), missing AS (
    SELECT before AS gap_from, instant AS gap_to FROM waits
    UNION ALL SELECT max(covered), $3 FROM told
), found AS (
    SELECT greatest(gap_from, $2) AS gap_from, gap_to, rhythm FROM missing, usual
    WHERE rhythm IS NOT NULL AND gap_to > $2 AND gap_to - gap_from > greatest($5 * rhythm, $6)
)
SELECT rhythm, n, (SELECT count(*) FROM found) AS many, (SELECT sum(gap_to - gap_from) FROM found) AS length, (
    SELECT list({{'from': gap_from, 'to': gap_to}} ORDER BY gap_from)
    FROM (FROM found ORDER BY gap_to - gap_from DESC, gap_from LIMIT {MOST_GAPS})
) AS gaps FROM usual
"""  # noqa: S608 (our own number)


def gaps_of(city: City, stream: int, start: int, end: int) -> dict[str, Any]:
    """The gaps of a stream between two instants [us]: longer than three times its usual wait between two readings.

    The rhythm is the median wait of the span and of as long before. Where nothing was told before the first reading,
    the stream had not begun, and nothing is missing; with fewer than two readings there is no rhythm and no gap.
    ``from``, ``to`` are in ms since epoch, ``rhythm`` and ``length`` (of all gaps together) in s, ``count`` is of all.
    """
    least = int(_LEAST_S * 1e6)
    (row,) = city.store.query(_GAPS, [stream, start, end, 2 * start - end, _PATIENCE, least]).to_pylist()
    return {
        "stream": stream,
        "readings": row["n"],
        "rhythm": None if row["rhythm"] is None else row["rhythm"] / 1e6,
        "count": row["many"],
        "length": float(row["length"] or 0) / 1e6,
        "gaps": [{"from": int(one["from"]) // 1000, "to": int(one["to"]) // 1000} for one in row["gaps"] or ()],
    }
