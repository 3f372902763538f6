"""Estimates: what practices derive goes back through the accept path, into a stream for each property of each thing.

Such a stream is as guarded as the most guarded stream that its practice sees, unless the practice's register says
otherwise: ``estimates_access = "open"`` (or internal, restricted) and ``estimates_personal = false`` (or true).
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from civium.core import Access, Plan, Practice
from civium.core.practice import Estimate
from civium.core.view import column
from civium.engines.catalog import Catalog
from civium.engines.catalog.streams import ACCESS
from civium.sources.changes import Edits
from civium.sources.register import estimate_lines, estimate_rows

if TYPE_CHECKING:
    from civium.city import City


_BY_CODE = {code: Access(word) for word, code in ACCESS.items()}


class Estimates:
    """Writes estimates back; makes the streams that are missing."""

    def __init__(self, city: "City") -> None:
        self._city = city
        self._streams: dict[str, int] = {}  # key of an estimate's stream -> id
        self._guards: dict[str, tuple[int, Access, bool]] = {}  # of a practice, as the catalogue stood then
        self._kept: dict[str, tuple[Access, bool]] = {}  # how the streams of a practice were guarded last

    async def ensure_streams(self, practice: Practice, plan: Plan) -> None:
        if not plan.estimates:
            return
        made = {m.property: m for m in practice.makes}
        guard = await asyncio.to_thread(self._guard, practice)
        wanted = {(e.thing, e.property) for e in plan.estimates}
        missing = sorted(w for w in wanted if not self._has_stream(f"{practice.id}/{w[1]}/{w[0]}"))
        if missing:
            lines = [(thing, name, made[name].unit, made[name].description) for thing, name in missing]
            await self._city.changes.make(
                estimate_lines(practice.id, lines, *guard), who=practice.id, why="streams of its estimates"
            )
            await self._find_streams([f"{practice.id}/{name}/{thing}" for thing, name in missing])
        await self._keep_guarded(practice, *guard)

    def _guard(self, practice: Practice) -> tuple[Access, bool]:
        """How its estimates are guarded: access, and whether they are personal."""
        catalog, told = self._city.catalog, self._city.turns.register(practice)
        at, index = catalog.streams_at(), catalog.streams
        known = self._guards.get(practice.id)
        if known is not None and known[0] == at:
            return known[1], known[2]
        seen = [
            column(catalog.streams_of(need.property, need.kind, catalog.applied()), "stream").astype(np.int64)
            for need in practice.needs
            if need.property
        ]
        ids = np.unique(np.concatenate([np.zeros(0, np.int64), *seen]))
        strictest = _BY_CODE[int(index.access[ids].max())] if len(ids) else Access.OPEN
        said = str(told.get("estimates_access", strictest))
        access = Access(said) if said in ACCESS else Access.RESTRICTED
        personal = bool(told.get("estimates_personal", index.personal[ids].any()))
        self._guards[practice.id] = (at, access, personal)
        return access, personal

    async def _keep_guarded(self, practice: Practice, access: Access, personal: bool) -> None:
        """Guard the streams that there are as they must be by now; none is opened here."""
        if self._kept.get(practice.id) == (access, personal):
            return

        def build(catalog: Catalog) -> Edits:
            index, sensor = catalog.streams, catalog.ids_by_key("sensors", [practice.id]).get(practice.id, 0)
            mine = np.flatnonzero(index.exists & (index.sensor[: len(index.exists)] == sensor)) if sensor else ()
            updates = []
            for stream in mine:
                new: dict[str, Any] = {}
                if index.access[stream] < ACCESS[access]:
                    new["access"] = str(access)
                if personal and not index.personal[stream]:
                    new["personal"] = True
                if new:
                    updates.append({"id": int(stream), **new})
            return Edits(updates={"datastreams": updates} if updates else {})

        await self._city.changes.make(build, who=practice.id, why="its estimates are guarded as what it sees")
        self._kept[practice.id] = (access, personal)

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
