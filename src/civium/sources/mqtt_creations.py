"""What MQTT makes besides readings: entities on topics of their own, and those that an Observation brings with it.

Entities and Tasks are published by who may make any, since the servers let nobody else. An Observation with an entity
inside may come from whoever may write on its topic, and no server says who: it makes what each of them might make over
HTTP.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from civium.engines.catalog import Catalog
from civium.sources.sensorthings.create import Creator
from civium.sources.sensorthings.observations import holds_entity
from civium.sources.sensorthings.plan import Sees
from civium.sources.sensorthings.write import Creation

OPERATOR = "operator by MQTT"  # who makes entities: the servers let nobody else publish there
DEVICE = "device by MQTT"  # who makes what an Observation brings with it
PREFIX = r"(?:\$MQTT\.msgs\.)?(?:civium-in|v1//1)\."
_CREATION = re.compile(PREFIX + r"((?:[A-Za-z]+\(\d{1,16}\)\.)?[A-Za-z]+)")
_OBSERVATIONS = "Observations"
_TASKS = "Tasks"
_STREAM = re.compile(r"(?:Multi)?Datastreams\((\d{1,16})\)/Observations")

# Of the stream that a topic names (0: none): what an Observation there may make, and what it may refer to.
Permitted = Callable[[int, Creation, Catalog], None]
Seen = Callable[[int], Sees]
Ask = Callable[[str, bytes, str], Awaitable[None]]  # for the Task in a body at a path, once for a key


@dataclass(frozen=True, slots=True)
class Published:
    """Makes what was published; ``permitted`` and ``seen`` say what an Observation may bring with it, ``ask`` takes
    Tasks."""

    creator: Creator
    permitted: Permitted
    seen: Seen
    ask: Ask

    async def make(self, path: str, body: bytes, key: str = "") -> None:
        """Make it, once for a ``key``. Raises InputRefused, and LogUnavailable."""
        if path.endswith(_TASKS):
            await self.ask(path, body, key)
            return
        if not path.endswith(_OBSERVATIONS):
            await self.creator.create(path, body, OPERATOR, key)
            return
        named = _STREAM.fullmatch(path)
        stream = int(named[1]) if named else 0

        def permit(creation: Creation, catalog: Catalog) -> None:
            self.permitted(stream, creation, catalog)

        await self.creator.create(path, body, DEVICE, key, permit, self.seen(stream))


def path_of(subject: str, body: bytes) -> str:
    """The path at which a message makes an entity, such as ``Things(1)/Datastreams``; empty for a mere reading."""
    match = _CREATION.fullmatch(subject)
    if match is None or (match[1].endswith(_OBSERVATIONS) and not holds_entity(body)):
        return ""
    return match[1].replace(").", ")/")
