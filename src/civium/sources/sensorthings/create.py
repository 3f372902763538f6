"""Makes what is created by SensorThings, whichever door it came through: the catalogue first, then the Observations."""

from collections.abc import Callable
from dataclasses import dataclass

from civium.core import Clock, InputRefused
from civium.engines.catalog import Catalog
from civium.sources.batch import NOTHING_CREATED, Batch
from civium.sources.changes import Changes, Edits
from civium.sources.examine import Planned, examine
from civium.sources.intake import Intake, Receipt
from civium.sources.sensorthings.plan import Sees
from civium.sources.sensorthings.write import Creation, plan_create

Permit = Callable[[Creation, Catalog], None]


@dataclass(frozen=True, slots=True)
class Creator:
    """Creates entities; ``future_s`` [s] is how far a resultTime may lie ahead."""

    changes: Changes
    intake: Intake
    clock: Clock
    future_s: float

    async def make(
        self, path: str, body: bytes, who: str, key: str = "", permit: Permit | None = None, sees: Sees | None = None
    ) -> Creation:
        """Put what a POST of ``body`` at ``path`` makes into the catalogue; its Observations are not stored yet.

        Under the same ``key`` it is made once within some minutes; ``permit`` refuses what its sender may not make, and
        ``sees`` says what it may refer to.
        Raises InputRefused, and LogUnavailable.
        """
        planned: list[Creation] = []

        def build(catalog: Catalog) -> Edits:
            now = self.clock.now()
            planned[:] = [plan_create(path, body, catalog, now, sees)]
            if permit is not None:
                permit(planned[0], catalog)
            self.check(planned[0].observations, catalog, planned[0].edits)
            return planned[0].edits

        await self.changes.make(build, who=who, why=f"POST {path[:100]}", key=key)
        return planned[0]

    def check(self, batch: Batch | None, catalog: Catalog, edits: Edits) -> None:
        """Refuse Observations that could not be stored, before anything is made of what they hang on."""
        if batch is None:
            return
        known = Planned.of(catalog, edits.rows)
        examined = examine(batch, known, self.clock.now(), self.future_s)
        if examined.refused:
            raise InputRefused(NOTHING_CREATED, examined.refused)

    async def create(
        self, path: str, body: bytes, who: str, key: str, permit: Permit | None = None, sees: Sees | None = None
    ) -> tuple[Creation, Receipt | None]:
        """Make it with its Observations, once for a ``key``; the rest is as in ``make``.

        Raises InputRefused, and LogUnavailable.
        """
        creation = await self.make(path, body, who, key, permit, sees)
        if creation.observations is None:
            return creation, None
        return creation, await self.intake.accept(creation.observations, key=key)
