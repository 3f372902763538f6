"""Logins over MQTT: nats-server asks us about each, by its auth callout, and we answer with what the user may publish.

A login is a user name, whatever it is, and a token as the password. Question and answer are JWTs of NATS: signed with
Ed25519 by a key whose public half stands in the server's configuration, and which lives as long as the server.
"""

import json
import secrets
import time
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client
from nats.aio.msg import Msg

ACCOUNT = "CITY"
EVERYTHING = ("civium-in.>",)
ANY_OBSERVATION = ("civium-in.Observations", "civium-in.*.Observations")
OBSERVATIONS_OF = "civium-in.Datastreams({}).Observations"  # as the server maps the topics
SUBSCRIBED = (
    "v1//1",
    "v1//1.>",
    "$MQTT.sub.>",
    "$MQTT.deliver.>",
)  # what may be heard; nothing is told that is not open
LONGEST_S = 900  # after which a device must log in again: so long a revoked token may go on
_QUESTION = "$SYS.REQ.USER.AUTH"
_OF_ACCOUNT = 0  # what a public key of an account begins with


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who came in: its name on the server, the subjects that it may publish on, and until when [s since epoch]."""

    name: str
    publish: tuple[str, ...]
    until: float | None = None


Judge = Callable[[str], Admitted | str]  # of a token; a text says why not


class Logins:
    """Answers the server; ``issuer`` is the public key that its configuration must name."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.issuer = _name(self._key.public_key().public_bytes_raw())

    async def answer(self, client: Client, judge: Judge) -> None:
        """Answer from now on, over a connection that may."""

        async def answered(question: Msg) -> None:
            asked = _claims(question.data)["nats"]
            given = asked["connect_opts"].get("pass", "")
            await question.respond(self._answer(asked, judge(given)).encode())

        await client.subscribe(_QUESTION, cb=answered)

    def _answer(self, asked: dict[str, Any], verdict: Admitted | str) -> str:
        told: dict[str, Any] = {"type": "authorization_response", "version": 2}
        if isinstance(verdict, str):
            told["error"] = verdict
        else:
            until = time.time() + LONGEST_S
            user = {
                "type": "user",
                "version": 2,
                **dict.fromkeys(("subs", "data", "payload"), -1),
                "pub": {"allow": list(verdict.publish)} if verdict.publish else {"deny": [">"]},
                "sub": {"allow": list(SUBSCRIBED)},
            }
            told["jwt"] = self._signed(
                {
                    "sub": asked["user_nkey"],
                    "aud": ACCOUNT,
                    "name": verdict.name,
                    "exp": int(until if verdict.until is None else min(until, verdict.until)),
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
