"""Web push: what a browser receives is what was sent, and only it can read that."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from civium.alarms.push import Key, Subscription, encrypt, read_subscription
from civium.core import InputRefused
from civium.engines.settings import SettingsWrong

# RFC 8291, section 5 and appendix A.
SUBSCRIPTION = Subscription(
    "Ada",
    "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "BTBZMqHH6r4Tts7J_aSIgg",
)
OURS = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
TEXT = b"When I grow up, I want to be a watermelon"
ENCRYPTED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
    "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_message_is_encrypted_as_the_standard_says() -> None:
    ours = ec.derive_private_key(int.from_bytes(decode(OURS)), ec.SECP256R1())
    assert encrypt(TEXT, SUBSCRIPTION, salt=decode(SALT), ours=ours) == decode(ENCRYPTED)
    assert encrypt(TEXT, SUBSCRIPTION) != encrypt(TEXT, SUBSCRIPTION)


def test_the_city_signs_with_one_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    key = Key.of(tmp_path / "push.key", "")
    assert (tmp_path / "push.key").stat().st_mode & 0o777 == 0o600
    assert Key.of(tmp_path / "push.key", "").public == key.public
    told = key.authorization("https://push.example.net:8443/a/b", "mailto:ops@example.org", 1_000_000)
    token, _, public = told.removeprefix("vapid t=").partition(", k=")
    head, claims, signature = token.split(".")
    assert json.loads(decode(head)) == {"typ": "JWT", "alg": "ES256"}
    told_claims = json.loads(decode(claims))
    assert told_claims["aud"] == "https://push.example.net:8443"
    assert 0 < told_claims["exp"] - 1_000_000 <= 86400
    raw = decode(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(public))
    point.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))


def test_a_key_that_is_none_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong, match=r"alarms\.push_key") as refused:
        Key.of(tmp_path / "push.key", "secret!")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"endpoint": "http://push.example.net/x"}, "not https"),
        ({"p256dh": "AAAA"}, "no push subscription"),
        ({"auth": "AAAA"}, "16 byte"),
        ({"auth": "?"}, "no push subscription"),
    ],
)
def test_a_subscription_that_cannot_be_used_is_refused(change: dict[str, str], why: str) -> None:
    given = {name: getattr(SUBSCRIPTION, name) for name in ("who", "endpoint", "p256dh", "auth")}
    with pytest.raises(InputRefused, match=why):
        read_subscription({**given, **change})
