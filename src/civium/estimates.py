"""Estimates: what practices derive goes back through the accept path, into a stream for each property of each thing."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from civium.core import Plan, Practice
from civium.core.practice import Estimate
from civium.sources.register import estimate_lines, estimate_rows

if TYPE_CHECKING:
    from civium.city import City


class Estimates:
    """Writes estimates back; makes the streams that are missing."""

    def __init__(self, city: "City") -> None:
        self._city = city
        self._streams: dict[str, int] = {}  # key of an estimate's stream -> id

    async def ensure_streams(self, practice: Practice, plan: Plan) -> None:
        made = {m.property: m for m in practice.makes}
        wanted = {(e.thing, e.property) for e in plan.estimates}
        missing = sorted(w for w in wanted if not self._has_stream(f"{practice.id}/{w[1]}/{w[0]}"))
        if missing:
            lines = [(thing, name, made[name].unit, made[name].description) for thing, name in missing]
            await self._city.changes.make(
                estimate_lines(practice.id, lines), who=practice.id, why="streams of its estimates"
            )
            await self._find_streams([f"{practice.id}/{name}/{thing}" for thing, name in missing])

    def _has_stream(self, key: str) -> bool:
        """Whether a stream of estimates is known, and was not taken away since."""
        return bool(self._city.catalog.streams.known(np.array([self._streams.get(key, 0)]))[0])

    async def _find_streams(self, keys: Sequence[str]) -> None:
        missing = [key for key in keys if not self._has_stream(key)]
        if missing:
            self._streams.update(await asyncio.to_thread(self._city.catalog.ids_by_key, "datastreams", missing))

    async def write(self, practice: str, decision: str, estimates: list[Estimate], again: bool) -> None:
        """Write a decision's estimates back through the accept path, once."""
        city = self._city
        if again:
            await city.read_barrier()
            query = "SELECT count(*) AS n FROM lake.observations WHERE parent = ?"
            if (await asyncio.to_thread(city.store.query, query, [decision])).column("n")[0].as_py():
                return
        keys = [f"{practice}/{e.property}/{e.thing}" for e in estimates]
        await self._find_streams(keys)
        told = [(self._streams[key], e) for key, e in zip(keys, estimates, strict=True) if self._has_stream(key)]
        if told:  # else their things, or their streams, were taken away since
            batch = estimate_rows(told, decision, city.clock.now())
            await city.intake.accept(batch, key=f"estimates/{decision}")
