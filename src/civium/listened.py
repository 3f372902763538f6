"""MQTT at a city: the doors through which devices are heard, and what subscribers are told from."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from civium.core import Access
from civium.core.rights import PUBLIC, Caller, Role
from civium.engines.catalog import Catalog
from civium.engines.listeners import Public
from civium.engines.log import Log
from civium.engines.mqtt_hearing import Hearing
from civium.seeing import foreign_features, moment_of
from civium.sources.mqtt import MqttDoor
from civium.sources.mqtt_creations import OPERATOR, Published
from civium.sources.mqtt_doors import MqttDoors
from civium.sources.mqtt_unconfirmed import Unconfirmed
from civium.sources.permits import permit_published
from civium.sources.sensorthings.announce import Announcer
from civium.sources.sensorthings.model import Entity
from civium.sources.sensorthings.plan import Sees
from civium.sources.sensorthings.read import Library
from civium.sources.sensorthings.sight import Sight
from civium.sources.sensorthings.tasking import decode_task
from civium.sources.sensorthings.write import Creation
from civium.twin.census import LiveMoment

if TYPE_CHECKING:
    from civium.city import City

_READERS = {
    Access.INTERNAL: Caller("internal", Role.OPERATOR),
    Access.RESTRICTED: Caller("restricted", Role.ADMINISTRATOR),
}


def mqtt_door(city: "City", name: str, server: Log) -> MqttDoor:
    """The door for what devices publish at one server; ``name`` is what the log knows it by."""
    arguments = (city.log, city.intake, city.catalog, city.clock, city.settings.doors.future_s)
    more = (_published(city), partial(foreign_features, city))
    return MqttDoor(name, server, *arguments, *more, by_arrival=city.clock.source == "wall")


def mqtt_doors(city: "City") -> MqttDoors:
    """The doors for the log's own server, that of the devices, and what is published with QoS 0."""
    servers = {"mqtt": city.log, "devices": city.devices}
    doors = [mqtt_door(city, name, server) for name, server in servers.items() if server]
    unconfirmed = Unconfirmed(
        city.public, city.log, city.intake, _published(city), city.clock, partial(foreign_features, city)
    )
    return MqttDoors(doors, unconfirmed)


def _published(city: "City") -> Published:
    """Who makes what an Observation brings with it, for whoever may publish it."""

    def permitted(stream: int, creation: Creation, catalog: Catalog) -> None:
        permit_published(stream, city.rights, catalog, creation.edits, creation.observations, _maker(city))

    def seen(stream: int) -> Sees:
        sight = Sight.of(_maker(city) or PUBLIC, city.rights)
        library = Library(city.catalog, city.store, "", city.clock.now(), moment_of(city), sight=sight)

        def sees(entity: Entity, identity: int) -> bool:
            own = stream == identity and entity.name in ("Datastream", "MultiDatastream")
            return own or library.sees is None or library.sees(entity, identity)

        return sees

    async def ask(path: str, body: bytes, key: str) -> None:
        now = city.clock.now()
        command, who, parameters = await asyncio.to_thread(decode_task, path, body, city.catalog, now)
        who, content = Caller(OPERATOR, Role.ADMINISTRATOR).signed(who), path.encode() + b"\0" + body
        await city.wishes.ask(command, who, key=key, content=content, parameters=parameters)

    return Published(city.creator, permitted, seen, ask)


def _maker(city: "City") -> Caller | None:
    """The least of those who may publish Observations of any stream, if they may make entities too; of the servers of a
    cluster nobody here knows who may."""
    return None if city.log.shared else city.rights.maker


class Announcers:
    """Who tells the subscribers at the city's public server: what is open in each account, and what is not in those of
    who may read it."""

    def __init__(self, city: "City") -> None:
        server = city.public.server
        self._hearings = {
            # In whose eyes the world is seen there: staff without a scope, and administrators.
            reader: Hearing(server, str(access))
            for access, reader in _READERS.items()
            if server is not None and server.logins is not None
        }
        self._tellers = [_teller(city, city.public, PUBLIC)]
        self._tellers += [_teller(city, place, who, place.anybody) for who, place in self._hearings.items()]

    @property
    def trouble(self) -> str:
        return next((teller.trouble for teller in self._tellers if teller.trouble), "")

    async def start(self) -> None:
        """Tell what comes from now on."""
        for hearing in self._hearings.values():
            await hearing.open()
        for teller in self._tellers:
            await teller.start()

    async def stop(self) -> None:
        for teller in self._tellers:
            await teller.stop()
        for hearing in self._hearings.values():
            await hearing.close()


def _teller(city: "City", public: Public, reader: Caller, anybody: Callable[[], bool] = lambda: True) -> Announcer:
    def library() -> Library:
        moment = LiveMoment(city.follower.live, city.follower.census)
        sight = Sight.of(reader, city.rights)
        record = city.ledger.projection.engine
        return Library(city.catalog, city.store, f"{city.url}/v1.1", city.clock.now(), moment, record, sight=sight)

    async def fold() -> None:
        await city.stored.reach(await city.log.cut())

    teller = Announcer(public, library, lambda ids: city.rights.readable(reader).among(ids), fold, anybody)
    city.changes.watch(teller.changed)
    city.follower.watch(teller.observed)
    city.ledger.watch(teller.recorded)
    return teller
