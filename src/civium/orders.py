"""What the operators order: mandates, parameters, and the switch that puts the whole city back to advise."""

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from civium.core import InputRefused, Mandate
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import MANDATES, PARAMETERS, SWITCHES
from civium.sources.changes import Rows

if TYPE_CHECKING:
    from civium.city import City


class Orders:
    """Puts orders on the log, where they are in force from the next turn and audited for good."""

    def __init__(self, city: "City") -> None:
        self._city = city

    async def set_mandate(self, practice: str, mandate: Mandate, who: str, why: str) -> None:
        """Change how far a practice may go; raises InputRefused (404) when it is not installed."""
        self._known(practice)
        await self._set(MANDATES.name, {"practice": practice, "mandate": str(mandate)}, who, why)

    async def set_parameters(self, practice: str, params: dict[str, Any], who: str, why: str) -> None:
        """Change a practice's parameters; raises InputRefused when they do not fit it."""
        self._known(practice)
        self._city.turns.check_params(practice, params)
        await self._set(PARAMETERS.name, {"practice": practice, "params": json.dumps(params)}, who, why)

    async def set_switch(self, advise_only: bool, who: str, why: str) -> None:
        """The city-wide switch: while it is on, every mandate counts as advise, and what is held is let go."""
        await self._set(SWITCHES.name, {"advise_only": advise_only}, who, why)
        if advise_only:
            await self._city.turns.release_all(f"{who} switched the city to advise: {why}")

    def switches(self) -> list[dict[str, Any]]:
        """The last changes of the city-wide switch, newest first."""
        with self._city.catalog.engine.connect() as connection:
            query = select(SWITCHES).order_by(SWITCHES.c.seq.desc()).limit(10)
            return [dict(row) for row in connection.execute(query).mappings()]

    async def _set(self, table: str, row: dict[str, Any], who: str, why: str) -> None:
        def build(_: Catalog) -> Rows:
            return {table: [{**row, "who": who, "why": why, "at": self._city.clock.now()}]}

        await self._city.changes.make(build, who=who, why=why)

    def _known(self, practice: str) -> None:
        if practice not in self._city.turns.practices.found:
            raise InputRefused(f"no practice '{practice}' is installed", status=404)
