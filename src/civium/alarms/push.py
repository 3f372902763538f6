"""Web push: messages to browsers, encrypted for each (RFC 8291) and signed with the city's key (RFC 8292)."""

import asyncio
import base64
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from civium.alarms.delivery import Message, NotDelivered
from civium.alarms.on_call import is_private
from civium.core import InputRefused
from civium.core.once import made_once
from civium.engines.settings import SettingsWrong

_RECORD = 4096  # byte, of one record with its padding and tag
_MOST = 3_000  # byte of a message: push services take 4,096 with the encryption
_LIVES_S = 3600  # so long a push service keeps a message for a browser that is away
_VALID_S = 6 * 3600
_PRIVATE = 32  # byte of a private key
Gone = Callable[[str], Awaitable[None]]


class Subscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a browser of a person takes messages, and its keys (base64url, as the browser gives them)."""

    who: str
    endpoint: str
    p256dh: str
    auth: str


def read_subscription(body: Mapping[str, Any]) -> Subscription:
    """What a browser gave; raises InputRefused for one that cannot be used."""
    try:
        given = msgspec.convert(body, Subscription)
        url = httpx.URL(given.endpoint)
        _point(given.p256dh)
        if len(_decode(given.auth)) != 16:
            raise ValueError("`auth` has not 16 byte")
    except (msgspec.ValidationError, ValueError, httpx.InvalidURL) as error:
        raise InputRefused(f"this is no push subscription: {error}") from None
    if not is_private(url):
        raise InputRefused("this is no push subscription: its endpoint is not https")
    return given


class Key:
    """The city's key, by which push services know it."""

    def __init__(self, private: bytes) -> None:
        self._key = ec.derive_private_key(int.from_bytes(private), ec.SECP256R1())
        self.public = _encode(_bytes(self._key.public_key()))  # what a browser subscribes with

    @classmethod
    def of(cls, path: Path, given: str) -> "Key":
        """The key that was ``given`` (base64url of 32 byte), else that of the file ``path``, which is made once."""
        try:
            if given:
                return cls(_decode(given))
            return cls(_decode(made_once(path, _new_key)))
        except ValueError as error:
            where = "alarms.push_key" if given else str(path)
            raise SettingsWrong(f"{where} is no private key of P-256 in base64url: {error}") from None

    def authorization(self, endpoint: str, contact: str, now: float) -> str:
        """The header that says who sends."""
        url = httpx.URL(endpoint)
        port = f":{url.port}" if url.port else ""
        claims = {"aud": f"{url.scheme}://{url.host}{port}", "exp": int(now) + _VALID_S, "sub": contact}
        head = _encode(msgspec.json.encode({"typ": "JWT", "alg": "ES256"}))
        signed = f"{head}.{_encode(msgspec.json.encode(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"vapid t={signed}.{_encode(r.to_bytes(32) + s.to_bytes(32))}, k={self.public}"


def _new_key() -> str:
    return _encode(ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(_PRIVATE))


class PushSender:
    """Sends to every browser of a person; ``gone`` is told the key of a subscription that is no more."""

    def __init__(
        self, key: Key, contact: str, subscriptions: Callable[[], Mapping[str, Subscription]], gone: Gone
    ) -> None:
        self._key, self._contact, self._subscriptions, self._gone = key, contact, subscriptions, gone
        self._client = httpx.AsyncClient(timeout=10.0, follow_redirects=False)

    async def send(self, way: str, message: Message) -> None:
        """Push to the browsers of ``push:NAME``; well when one of them could be reached."""
        who = way.removeprefix("push:")
        mine = {key: one for key, one in self._subscriptions().items() if one.who == who}
        if not mine:
            raise NotDelivered(f"push: no browser of {who} is subscribed")
        why = await asyncio.gather(*(self._send(key, one, message) for key, one in mine.items()))
        if all(why):
            raise NotDelivered(why[0])

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, key: str, to: Subscription, message: Message) -> str:
        told = {"title": message.subject, "body": message.text, "url": message.data["url"]}
        while len(data := msgspec.json.encode(told)) > _MOST:
            told["body"] = told["body"][: len(told["body"]) // 2]
        headers = {
            "Content-Encoding": "aes128gcm",
            "TTL": str(_LIVES_S),
            "Urgency": "high",
            "Authorization": self._key.authorization(to.endpoint, self._contact, time.time()),
        }
        try:
            answer = await self._client.post(to.endpoint, content=encrypt(data, to), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"push: the service does not answer ({type(error).__name__})"
        if answer.status_code in (404, 410):
            await self._gone(key)
            return f"push: a browser of {to.who} is subscribed no more"
        return "" if answer.is_success else f"push: the service answers {answer.status_code}"


def encrypt(
    data: bytes, to: Subscription, *, salt: bytes | None = None, ours: ec.EllipticCurvePrivateKey | None = None
) -> bytes:
    """``data`` as only the browser can read it: one record of aes128gcm (RFC 8188) under the keys of RFC 8291."""
    salt, ours = salt or os.urandom(16), ours or ec.generate_private_key(ec.SECP256R1())
    theirs, sender = _point(to.p256dh), _bytes(ours.public_key())
    shared = ours.exchange(ec.ECDH(), theirs)
    secret = _derive(shared, _decode(to.auth), b"WebPush: info\0" + _bytes(theirs) + sender, 32)
    key = _derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    head = salt + _RECORD.to_bytes(4) + bytes([len(sender)]) + sender
    return head + AESGCM(key).encrypt(nonce, data + b"\2", None)


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def _point(text: str) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decode(text))


def _bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
