"""What of the public record is told to whom.

That a decision was made, when, by which practice, under which mandate, what it asked of which device and what became of
it: anyone may know. Its reasons in words, its estimates, its View and its state come of the streams that the practice
needs: they are for who may read all of those. A notice is for those whom it addresses.
"""

from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, and_, false, or_, select

from civium.city import City
from civium.core import InputRefused
from civium.core.rights import STAFF, Caller, Role
from civium.core.view import column
from civium.engines.catalog.tables import DATASTREAMS, OBSERVED_PROPERTIES, PAST
from civium.ledger.projection import NOTICES

NOT_TOLD = "why is not told here: it sees streams that are not open to everyone"
WITHHELD = "Its reasons are not told here: it saw streams that are not open to everyone"


class Told:
    """What one caller is told; ask it in a thread."""

    def __init__(self, city: City, caller: Caller) -> None:
        self._city, self.caller = city, caller
        self.reach = city.rights.readable(caller)
        self._answers: dict[str, bool] = {}

    @property
    def _at_the_desk(self) -> bool:
        return self.caller.trusted or self.caller.role in STAFF

    def all_of(self, practice: str) -> bool:
        """Whether the caller may read all that a practice has ever seen."""
        if practice not in self._answers:
            self._answers[practice] = self.caller.role is Role.ADMINISTRATOR or self._reads_all(practice)
        return self._answers[practice]

    def must_tell_all(self, practice: str) -> None:
        """Refuse what shows the streams of a practice to who may not read them: 401 or 403."""
        if not self.all_of(practice):
            status = 403 if self.caller.token else 401
            raise InputRefused(f"'{practice}' sees streams that are not open to '{self.caller.name}'", status=status)

    def why(self, practice: str, reason: str) -> str:
        """A reason of a practice; empty where it is not told."""
        return reason if self.all_of(practice) else ""

    def person(self, who: str) -> str:
        """Who changed something; whom strangers are told of is the city."""
        return who if self._at_the_desk else ""

    def trouble(self, practice: str, why: str) -> str:
        """What troubles a practice; that something does anyone may know."""
        return why if not why or self.all_of(practice) else NOT_TOLD

    def incidents(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows of incidents, without the words that may hold what was seen."""
        return [{**row, "why": self.trouble(row["practice"], row["why"])} for row in rows]

    def actuator(self, thing: int | None) -> bool:
        """Whether the actuators of a thing are told by their names."""
        return thing is None or thing not in self._hidden_things

    @cached_property
    def _hidden_things(self) -> frozenset[int]:
        return frozenset(self._city.rights.hidden_things(self.caller).tolist())

    def rows(self, decisions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows of decisions, without the reasons that are not told."""
        return [row if self.all_of(row["practice"]) else {**row, "because": ""} for row in decisions]

    def notices(self) -> ColumnElement[bool]:
        """The condition on notices that are for the caller."""
        public = NOTICES.c.audience == "public"
        if not self._at_the_desk:
            return public
        told = [name for name in self._city.turns.practices.found if self.all_of(name)]
        return or_(public, NOTICES.c.practice.in_(told) if told else false())

    def entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """An entry of the record without what is not told; ``withheld`` says so."""
        plan = entry.get("plan")
        if plan is None or entry["type"] == "wish":
            return entry
        notices = [one for one in plan["notices"] if self._at_the_desk or one["audience"] == "public"]
        if self.all_of(entry["practice"]):
            return {**entry, "plan": {**plan, "notices": notices}}
        notices = [one for one in notices if one["audience"] == "public"]
        commands = [{**one, "because": ""} for one in plan["commands"]]
        plan = {**plan, "because": "", "commands": commands, "estimates": [], "notices": notices}
        return {**entry, "plan": plan, "withheld": WITHHELD}

    def _reads_all(self, practice: str) -> bool:
        found = self._city.turns.practices.found.get(practice)
        if found is None:
            return practice == "operator"  # a person's wish saw nothing; what is not installed nobody knows
        catalog = self._city.catalog
        for need in found.needs:
            if not need.property:
                continue
            streams = column(catalog.streams_of(need.property, need.kind, catalog.applied()), "stream")
            if not self.reach.among(streams.astype(np.int64)).all():
                return False
        return not self._saw_what_is_gone([need.property for need in found.needs if need.property])

    def _saw_what_is_gone(self, properties: list[str]) -> bool:
        """Whether some of these were once told by a stream that is not there any more, or was not open then."""
        past, names = PAST[DATASTREAMS.name].c, OBSERVED_PROPERTIES.c
        closed = or_(past.access != "open", past.personal.is_(True))
        query = select(past.id).join(OBSERVED_PROPERTIES, names.id == past.property)
        with self._city.catalog.engine.connect() as connection:
            found = connection.scalars(query.where(and_(names.name.in_(properties), closed)).distinct()).all()
        return not bool(self.reach.among(np.array(found, np.int64)).all())
