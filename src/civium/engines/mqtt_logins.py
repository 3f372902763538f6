"""Logins over MQTT: nats-server asks us about each, by its auth callout, and we answer with what the user may publish.

A login is a user name, whatever it is, and a token as the password; who has none comes as the server's own user for
that. Question and answer are JWTs of NATS: signed with Ed25519 by a key whose public half stands in the server's
configuration, and which lives as long as the server. Who is in and may no longer publish what it was told is sent away.
"""

import asyncio
import json
import secrets
import time
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import nats.errors
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client
from nats.aio.msg import Msg

ACCOUNT = "CITY"
EVERYTHING = ("civium-in.>",)
ANY_OBSERVATION = ("civium-in.Observations", "civium-in.*.Observations")
OF_ANY_STREAM = ("civium-in.*.Observations",)
OBSERVATIONS_OF = ("civium-in.Datastreams({}).Observations", "civium-in.MultiDatastreams({}).Observations")
NOBODY = "device"  # the server's user for who shows no token
SUBSCRIBED = (
    "v1//1",
    "v1//1.>",
    "$MQTT.sub.>",
    "$MQTT.deliver.>",
)  # what may be heard; nothing is told that is not open
LONGEST_S = 900  # after which a device with a token must log in again, so that it may publish to streams that are new
_QUESTION = "$SYS.REQ.USER.AUTH"
_OF_ACCOUNT = 0  # what a public key of an account begins with


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who came in: its name on the server, the subjects that it may publish on but for some, and until when [s since
    epoch; None: for good], in which account. ``again`` judges anew, without its token.
    """

    name: str
    publish: tuple[str, ...]
    but: tuple[str, ...] = ()
    until: float | None = None
    account: str = ACCOUNT
    again: "Callable[[], Admitted | str] | None" = None

    def within(self, other: "Admitted") -> bool:
        """Whether it may publish nothing that another may not; a longer list of exceptions is taken at its word."""
        return set(self.publish) <= set(other.publish) and set(other.but) <= set(self.but)


# Of a token, None: it showed none, and the user name with it; a text says why it may not come in.
Judge = Callable[[str | None, str], Admitted | str]
_KICK = "$SYS.REQ.SERVER.{}.KICK"
_PATIENCE_S = 2.0
_MOST_KNOWN = 20_000


class Logins:
    """Answers the server; ``issuer`` is the public key that its configuration must name."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.issuer = _name(self._key.public_key().public_bytes_raw())
        self._inside: dict[tuple[str, int], Admitted] = {}  # by server and connection; some have left since
        self._accounts: set[str] = set()
        self._system: Client | None = None
        self._reviewing = asyncio.Lock()

    async def answer(self, client: Client, system: Client, judge: Judge, refused: Callable[[str], None]) -> None:
        """Answer from now on, over a connection that may; ``system`` is one to the server's system account.

        ``refused`` is told the address of who was not let in.
        """
        self._system = system

        async def answered(question: Msg) -> None:
            asked = _claims(question.data)["nats"]
            given = asked["connect_opts"]
            user = given.get("user", "")
            nobody = user == NOBODY and given.get("pass", "") == NOBODY
            verdict = judge(None if nobody else given.get("pass", ""), user)
            if isinstance(verdict, Admitted):
                server = asked["server_id"]["id"]
                self._inside = {at: who for at, who in self._inside.items() if at[0] == server}
                self._inside[server, int(asked["client_info"]["id"])] = verdict
                self._accounts.add(verdict.account)
                while len(self._inside) > _MOST_KNOWN:  # who may be inside is known, or sent away
                    await self._send_away([next(iter(self._inside))])
            else:
                refused(str(asked["client_info"].get("host", "")))
            await question.respond(self._answer(asked, verdict).encode())

        await client.subscribe(_QUESTION, cb=answered)

    def has(self, account: str) -> bool:
        """Whether anyone came into an account so far."""
        return account in self._accounts

    async def review(self) -> None:
        """Send away who may not be inside any more, or may publish on less than it was told; it may log in again."""
        async with self._reviewing:
            wrong = []
            for judged, (at, was) in enumerate(list(self._inside.items())):
                now = was.again() if was.again is not None else was
                if isinstance(now, str) or not was.within(now):
                    wrong.append(at)
                if judged % 100 == 0:
                    await asyncio.sleep(0)
            await self._send_away(wrong)

    async def _send_away(self, some: Sequence[tuple[str, int]]) -> None:
        for at in some:
            self._inside.pop(at, None)
            if self._system is not None:
                with suppress(nats.errors.Error, TimeoutError):  # the server is down: nobody is inside
                    await self._system.request(_KICK.format(at[0]), json.dumps({"cid": at[1]}).encode(), _PATIENCE_S)

    def _answer(self, asked: dict[str, Any], verdict: Admitted | str) -> str:
        told: dict[str, Any] = {"type": "authorization_response", "version": 2}
        if isinstance(verdict, str):
            told["error"] = verdict
        else:
            publish: dict[str, Any] = {"allow": list(verdict.publish)} if verdict.publish else {"deny": [">"]}
            if verdict.publish and verdict.but:
                publish["deny"] = list(verdict.but)
            user = {
                "type": "user",
                "version": 2,
                **dict.fromkeys(("subs", "data", "payload"), -1),
                "pub": publish,
                "sub": {"allow": list(SUBSCRIBED)},
            }
            told["jwt"] = self._signed(
                {
                    "sub": asked["user_nkey"],
                    "aud": verdict.account,
                    "name": verdict.name,
                    **({} if verdict.until is None else {"exp": int(verdict.until)}),
                    "nats": user,
                }
            )
        return self._signed({"sub": asked["user_nkey"], "aud": asked["server_id"]["id"], "nats": told})

    def _signed(self, claims: dict[str, Any]) -> str:
        claims = {**claims, "iss": self.issuer, "iat": int(time.time()), "jti": secrets.token_urlsafe(16)}
        text = ".".join(_base64(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims))
        return f"{text}.{_base64(self._key.sign(text.encode()))}"


def _claims(jwt: bytes) -> dict[str, Any]:
    """What a JWT says; it came over our own connection from our own server."""
    body = jwt.split(b".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    return claims


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _name(public: bytes) -> str:
    """A public key as NATS writes it: base 32 of what it is, the key, and a CRC-16 (XMODEM) of both."""
    data = bytes([_OF_ACCOUNT]) + public
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")
