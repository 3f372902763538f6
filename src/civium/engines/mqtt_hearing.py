"""Accounts for who may hear by MQTT what is not open: one for each such class of access, with the same topics in each.

Who logs in with the class as user name, and a token that reads all of that class, hears there what the city republishes
into that account. What is open is told in all of them; nothing is published from them but by the city itself.
"""

from typing import TYPE_CHECKING

import nats
from nats.aio.client import Client

from civium.core import Access
from civium.engines.passing import ignore

if TYPE_CHECKING:
    from civium.engines.nats_server import NatsServer

ACCOUNTS = {str(access): str(access).upper() for access in (Access.INTERNAL, Access.RESTRICTED)}  # by user name
_CONFIG = """  {account} {{
    jetstream: enabled
    mappings: {{ "civium-out.>": "v1//1.>" }}
    users: [ {{ user: {teller}, password: "{password}" }} ]
  }}
"""


def accounts(password: str) -> str:
    """The accounts in the configuration of a server."""
    return "".join(
        _CONFIG.format(account=account, teller=_teller(name), password=password) for name, account in ACCOUNTS.items()
    )


def tellers() -> list[str]:
    """The users of these accounts whom the server knows by itself: the city's own."""
    return [_teller(name) for name in ACCOUNTS]


def _teller(name: str) -> str:
    return f"civium-{name}"


class Hearing:
    """The city's connection to the account of one class of access at a server of its own."""

    shared = False

    def __init__(self, server: "NatsServer", name: str) -> None:
        self._server, self._name = server, name
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    def anybody(self) -> bool:
        """Whether anyone came into the account so far."""
        logins = self._server.logins
        return logins is not None and logins.has(ACCOUNTS[self._name])

    async def open(self) -> None:
        self._client = await nats.connect(
            f"nats://127.0.0.1:{self._server.port}",
            user=_teller(self._name),
            password=self._server.login[1],
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,
            error_cb=ignore,
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None
