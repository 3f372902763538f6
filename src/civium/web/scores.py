"""How well a practice foretells, on the city itself: its forecasts of the last day beside what was then measured.

The baseline is what one has without a forecast: that nothing changes until then.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, Request
from starlette.responses import Response

from civium.city import City
from civium.core import MICROSECONDS, InputRefused, Make, Practice
from civium.core.view import column
from civium.web.doors import answer, caller_of, city_of
from civium.web.told import Told

router = APIRouter(prefix="/api", tags=["console"])
SPAN_S = 86_400.0
_KEPT_S = 60.0  # an answer, since anyone may ask and it reads a day
_LONGEST_AHEAD_S = 2 * 86_400.0
# $1 start and $2 end of the foretold instants, $3 since when to read, $4 how old the truth may be [us]
_SCORE = """
WITH told AS (
  SELECT w.truth, o.time, o.until, o.value FROM observations o JOIN wanted w ON o.stream = w.stream
  WHERE o.time BETWEEN make_timestamp($3) AND make_timestamp($2)
    AND o.until BETWEEN make_timestamp($1) AND make_timestamp($2) AND o.value IS NOT NULL
), measured AS (
  SELECT stream, time, value FROM observations WHERE stream IN (SELECT truth FROM wanted)
    AND time BETWEEN make_timestamp($3) AND make_timestamp($2) AND value IS NOT NULL
)
SELECT count(*) AS n, avg(abs(f.value - t.value)) AS error, avg(abs(b.value - t.value)) AS unchanged
FROM told f
ASOF JOIN measured t ON f.truth = t.stream AND f.until >= t.time
ASOF JOIN measured b ON f.truth = b.stream AND f.time >= b.time
WHERE epoch_us(f.until) - epoch_us(t.time) <= $4
"""


def score_of(city: City, practice: Practice) -> list[dict[str, Any]]:
    """For each property that a practice foretells: mean absolute error of the forecasts whose instant lies within the
    last day, that of "as it was when it was told" for the same ones, both in ``unit``, and how many they are."""
    return list(_scores(city, practice))


def _scores(city: City, practice: Practice) -> Iterator[dict[str, Any]]:
    now = city.clock.now()
    start = now - int(SPAN_S * MICROSECONDS)
    since = start - int(_LONGEST_AHEAD_S * MICROSECONDS)
    for make in practice.makes:
        if not make.foretells:
            continue
        wanted = _pairs(city, make)
        stale = max(need.stale for need in practice.needs if (need.property, need.kind) == (make.foretells, make.kind))
        spans = [start, now, since, int(stale * MICROSECONDS)]
        row = city.store.query(_SCORE, spans, {"wanted": wanted}).to_pylist()[0]
        told = {"property": make.property, "kind": make.kind, "foretells": make.foretells, "unit": make.unit}
        yield {**told, "n": row["n"], "error": row["error"], "unchanged": row["unchanged"]}


def _pairs(city: City, make: Make) -> pa.Table:
    """The streams of forecasts, each with the stream that measures what it foretells: ``stream, truth``."""
    at = city.catalog.applied()
    told, measured = (city.catalog.streams_of(name, make.kind, at) for name in (make.property, make.foretells))
    things, streams = (column(measured, name).astype(np.int64) for name in ("thing", "stream"))
    truth = dict(zip(things.tolist(), streams.tolist(), strict=True))
    pairs = [
        (stream, truth[thing])
        for stream, thing in zip(*(told.column(name).to_pylist() for name in ("stream", "thing")), strict=True)
        if thing in truth
    ]
    forecast, of = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.table({"stream": pa.array(forecast, pa.int64()), "truth": pa.array(of, pa.int64())})


class Scores:
    """The scores of this process, kept for a minute."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, list[dict[str, Any]]]] = {}
        self._asking = asyncio.Lock()

    async def of(self, city: City, practice: str) -> list[dict[str, Any]]:
        """See ``score_of``; raises InputRefused (404) when it is not installed."""
        found = city.turns.practices.found.get(practice)
        if found is None:
            raise InputRefused(f"no practice '{practice}' is installed", status=404)
        async with self._asking:
            at, told = self._kept.get(practice, (-_KEPT_S, []))
            if time.monotonic() - at >= _KEPT_S:
                told = await asyncio.to_thread(score_of, city, found)
                self._kept[practice] = (time.monotonic(), told)
        return told


async def scores_of(request: Request, practice: str) -> list[dict[str, Any]]:
    """The scores of a practice as a caller is told them: nothing where it sees what is not open to who asks."""
    city, state = city_of(request), request.app.state
    told = await asyncio.to_thread(lambda: Told(city, caller_of(request)).all_of(practice))
    if not hasattr(state, "scores"):
        state.scores = Scores()
    scores: Scores = state.scores
    found = await scores.of(city, practice)
    return found if told else []


@router.get("/practices/{practice}/score")
async def score(request: Request, practice: str) -> Response:
    """How well it foretold within the last day of the city, beside "nothing changes"."""
    return answer(await scores_of(request, practice))
