"""The story of one decision in plain words: what was seen, what was wanted, what the guard said, what happened."""

import asyncio
from typing import Any, Protocol

from sqlalchemy import select

from civium.core import InputRefused, Tier, to_datetime
from civium.core.observations import shards_in
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import ACTUATORS, THINGS
from civium.ledger.projection import EVENTS
from civium.ledger.record import Ledger

_WORDS = {
    "admitted": "the guard admitted it",
    "refused": "it was refused",
    "advised": "it was recorded as advice only",
    "pending": "it waits for a person",
    "approved": "a person approved it",
    "sent": "it was sent to the device",
    "failed": "it could not be sent",
    "confirmed": "the device reported that it obeyed",
    "overridden": "another command took its place",
    "released": "the city let go of it",
    "lapsed": "its time ended and the device went back to its own default",
}


class Reader(Protocol):
    """Who reads a story."""

    def entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """An entry without what its reader may not know; ``withheld`` says so."""
        ...

    def actuator(self, thing: int | None) -> bool:
        """Whether it may know what the actuators of a thing are called."""
        ...


async def story(ledger: Ledger, catalog: Catalog, decision: str, reader: Reader | None = None) -> dict[str, Any]:
    """The ledger entry, the later events, ``names`` of its actuators by id, and ``words``: a list of sentences.

    Of what its ``reader`` may not know nothing is told. Raises InputRefused (404) if unknown.
    """
    sequence = await asyncio.to_thread(ledger.projection.sequence, decision)
    if sequence is None:
        raise InputRefused(f"no decision '{decision}' is on the record", status=404)
    entry = await ledger.entry(sequence)
    if reader is not None:
        entry = await asyncio.to_thread(reader.entry, entry)
    query = select(EVENTS).where(EVENTS.c.decision == decision).order_by(EVENTS.c.id)
    events = await asyncio.to_thread(ledger.projection.rows, query)
    asked = [c["actuator"] for c in entry["plan"]["commands"]]
    names = await asyncio.to_thread(_names, catalog, asked, reader)
    words = _tell(entry, events, names)
    return {"sequence": sequence, "entry": entry, "events": events, "names": names, "words": words}


def _tell(entry: dict[str, Any], events: list[dict[str, Any]], names: dict[int, str]) -> list[str]:
    plan = entry["plan"]
    asked = entry["type"] == "wish"
    who = entry["who"] if asked else "It"
    known = ", ".join(str(last) for last in shards_in(entry["cut"]).values())
    began = (
        f"{who} asked for this"
        if asked
        else f"the practice {entry['practice']} saw the city as it was known up to log message {known}, with the "
        f"mandate '{entry['mandate']}'"
    )
    advised = " while the whole city was switched to advise." if entry["advise_only"] else "."
    words = [f"On {_when(entry['tick'])} {began}{advised}"]
    if entry.get("withheld"):
        words.append(f"{entry['withheld']}.")
    if plan["because"]:
        words.append(f"Its reason: {plan['because']}.")
    if not plan["commands"]:
        words.append("It asked no device to do anything.")
    for number, command in enumerate(plan["commands"]):
        name = names.get(command["actuator"], f"actuator {command['actuator']}")
        words.append(
            f"{who} asked {name} to go to {command['value']} until {_when(command['until'])} "
            f"(tier {Tier(command['tier']).name.lower()})"
            + (f", because {command['because']}." if command["because"] else ".")
        )
        for event in (e for e in events if e["command"] == number):
            why = f" ({event['why']})" if event["why"] else ""
            by = f" by {event['who']}" if event["who"] and event["what"] in ("approved", "refused", "released") else ""
            fact = f", observation {event['observation']}" if event["observation"] else ""
            words.append(f"  {_when(event['at'])}: {_WORDS.get(event['what'], event['what'])}{by}{why}{fact}.")
    if plan["estimates"]:
        words.append(f"It wrote {len(plan['estimates'])} estimates back to the twin.")
    words += [f"It told the {n['audience']} ({n['severity']}): {n['text']}" for n in plan["notices"]]
    return words


def _names(catalog: Catalog, actuators: list[int], reader: Reader | None) -> dict[int, str]:
    """What those that the reader may know of are called, or were last."""
    known = catalog.last(ACTUATORS.name, actuators)
    if reader is not None:
        known = {identity: row for identity, row in known.items() if reader.actuator(row["thing"])}
    things = catalog.last(THINGS.name, [row["thing"] for row in known.values()])
    both = {identity: (row["name"], things[row["thing"]]["name"]) for identity, row in known.items()}
    return {identity: own if own == of else f"{own} of {of}" for identity, (own, of) in both.items()}


def _when(instant: int) -> str:
    return f"{to_datetime(instant):%Y-%m-%d %H:%M:%S} UTC"
