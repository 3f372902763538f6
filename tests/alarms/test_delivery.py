"""Who is on call is told by a real mail server, a webhook and a push service, again and again until somebody acts."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from email.message import Message as Mail
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.handlers import Message as MailHandler
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from civium.alarms.delivery import Delivery, Message
from civium.alarms.hook import HookSender
from civium.alarms.mail import MailSender
from civium.alarms.on_call import check_ways, read_on_call
from civium.alarms.push import Key, PushSender, Subscription, _encode
from civium.core import InputRefused
from civium.engines.catalog import Change, orders
from civium.engines.settings import Alarms
from tests.alarms.stand import Stand
from tests.alarms.test_desk import at


class Office:
    """A mail server with a login, and a web server that takes posts and answers as it is told."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.answers = 201
        office = self

        class Postbox(MailHandler):
            def handle_message(self, message: Mail) -> None:
                office.mails.append(message)

        def login(_s: Any, _session: Any, _e: Any, _m: str, given: Any) -> AuthResult:
            good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"city", b"sesame")
            return AuthResult(success=good, handled=good)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                office.posts.append((self.path, {name.lower(): word for name, word in self.headers.items()}, body))
                self.send_response(office.answers)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

        def server() -> SMTP:
            options = {"authenticator": login, "auth_require_tls": False, "auth_required": True}
            return SMTP(Postbox(), loop=self._loop, **options)

        opened = self._loop.create_server(server, "127.0.0.1", 0)
        self._smtp = asyncio.run_coroutine_threadsafe(opened, self._loop).result(30)
        self.mail_address = f"127.0.0.1:{self._smtp.sockets[0].getsockname()[1]}"
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def close_mail(self) -> None:
        self._loop.call_soon_threadsafe(self._smtp.close)

    def close(self) -> None:
        self.close_mail()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.http.shutdown()
        self.http.server_close()


class BrowserStub:
    """What a browser does: it has a key pair and a secret, and reads what is encrypted for it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = bytes(range(16))

    def subscription(self, endpoint: str) -> Subscription:
        return Subscription("Ada", endpoint, _encode(self._public), _encode(self._auth))

    def read(self, data: bytes) -> dict[str, Any]:
        salt, size, sender = data[:16], data[20], data[21 : 21 + data[20]]
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        info = b"WebPush: info\0" + self._public + sender
        shared = HKDF(hashes.SHA256(), 32, self._auth, info).derive(self._key.exchange(ec.ECDH(), theirs))
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(shared)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(shared)
        plain = AESGCM(key).decrypt(nonce, data[21 + size :], None)
        found: dict[str, Any] = json.loads(plain.rstrip(b"\0").removesuffix(b"\2"))
        return found


@pytest.fixture
def office() -> Iterator[Office]:
    opened = Office()
    yield opened
    opened.close()


class Desk(Stand):
    """A stand with a delivery."""

    def __init__(self, folder: Path, office: Office, browsers: dict[str, Subscription] | None = None) -> None:
        super().__init__(folder)
        self.settings = Alarms(
            smtp=office.mail_address, smtp_tls="none", smtp_user="city", smtp_password="sesame",
            sender="city@example.org", webhook_token="hush", url="https://city.example.org/alarms",
        )  # fmt: skip
        self.browsers = browsers or {}

    def tell(self, second: float) -> str:
        """Look, and tell whoever must be told; returns what went wrong."""

        async def gone(key: str) -> None:
            del self.browsers[key]

        async def run() -> str:
            hook = HookSender(self.settings)
            key = Key.of(self.folder / "push.key", "")
            push = PushSender(key, "mailto:ops@example.org", lambda: dict(self.browsers), gone)
            senders = {"mailto": MailSender(self.settings), "http": hook, "https": hook, "push": push}
            delivery = Delivery(self.desk, senders, "Helsinki", self.settings.url)
            try:
                await self.desk.look(at(second))
                delivery.call(at(second))
                await delivery.done()
                return delivery.trouble
            finally:
                await delivery.close()

        self.desk._whole_at = 0
        return asyncio.run(run())


def on_call(desk: Desk, *steps: dict[str, Any], repeat_s: float = 60) -> None:
    desk.order(orders.ON_CALL, "default", {"steps": list(steps), "repeat_s": repeat_s})


def test_a_mail_is_sent_again_until_somebody_acknowledges(tmp_path: Path, office: Office) -> None:
    desk = Desk(tmp_path, office)
    on_call(desk, {"who": "Ada", "ways": ["mailto:ada@example.org"]})
    desk.rule(title="too warm", severity="critical", when={"above": 30})
    desk.read(1, 31, 7, 8)
    for second, mails in ((1, 1), (2, 1), (60.9, 1), (61, 2), (121, 3)):
        assert desk.tell(second) == ""
        assert len(office.mails) == mails, second
    mail = office.mails[0]
    assert (mail["from"], mail["to"]) == ("city@example.org", "ada@example.org")
    assert mail["subject"] == "[Helsinki] critical: too warm: alone/1 and 1 more"  # what is due together is one message
    text = mail.get_payload()
    for words in ("air_temperature: above 30", "alone/2", "civium alarms ack ID", "https://city.example.org/alarms"):
        assert words in text
    desk.start()  # a crash does not begin anew
    assert desk.tell(122) == ""
    assert len(office.mails) == 3
    for identity in list(desk.book.open):
        asyncio.run(desk.desk.acknowledge(identity, "Ada", "", at(123)))
    desk.tell(500)
    assert len(office.mails) == 3


def test_who_comes_next_is_told_while_nobody_acts(tmp_path: Path, office: Office) -> None:
    desk = Desk(tmp_path, office)
    ada, desk_hook = {"who": "Ada", "ways": ["mailto:ada@example.org"]}, f"{office.url}/hook"
    on_call(desk, ada, {"who": "desk", "ways": [desk_hook], "after_s": 100}, repeat_s=1000)
    desk.rule(when={"above": 30})
    desk.read(1, 31, 7)
    desk.tell(1)
    assert (len(office.mails), len(office.posts)) == (1, 0)
    desk.tell(101)
    assert (len(office.mails), len(office.posts)) == (1, 1)
    path, headers, body = office.posts[0]
    assert path == "/hook"
    assert headers["authorization"] == "Bearer hush"
    told = json.loads(body)
    assert told["city"] == "Helsinki"
    assert [(a["id"], a["severity"], a["streams"]) for a in told["alarms"]] == [(1, "warning", 1)]
    assert [event["what"] for event in desk.book.story(1)] == ["raised", "notified", "escalated", "notified"]


def test_a_browser_reads_what_is_pushed_and_one_that_is_gone_is_forgotten(tmp_path: Path, office: Office) -> None:
    browser = BrowserStub()
    desk = Desk(tmp_path, office, {"one": browser.subscription(f"{office.url}/push/1")})
    on_call(desk, {"who": "Ada", "ways": ["push:Ada"]})
    desk.rule(title="x" * 100, when={"above": 30})
    desk.read(1, 31, 7)
    assert desk.tell(1) == ""
    path, headers, body = office.posts[0]
    assert path == "/push/1"
    assert headers["content-encoding"] == "aes128gcm"
    assert int(headers["ttl"]) > 0
    assert headers["authorization"].startswith("vapid t=")
    assert len(body) < 4096
    told = browser.read(body)
    assert told["title"].startswith("[Helsinki] warning: xxx")
    assert told["url"] == "https://city.example.org/alarms"
    office.answers = 410
    assert "subscribed no more" in desk.tell(61)
    assert desk.browsers == {}
    assert "no browser of Ada" in desk.tell(92)


def test_what_cannot_be_handed_over_is_said_without_a_secret_and_tried_again_soon(
    tmp_path: Path, office: Office
) -> None:
    desk = Desk(tmp_path, office)
    on_call(desk, {"who": "Ada", "ways": [f"{office.url}/secret-path"]}, repeat_s=1000)
    desk.rule(when={"above": 30})
    desk.read(1, 31, 7)
    office.answers = 500
    assert desk.tell(1) == "not everybody could be told: webhook: 127.0.0.1 answers 500"
    desk.tell(30)
    assert len(office.posts) == 1
    office.answers = 200
    assert desk.tell(31) == ""
    assert len(office.posts) == 2
    (first, second) = [event for event in desk.book.story(1) if event["what"] == "notified"]
    assert (first["ok"], second["ok"]) == (False, True)
    office.close_mail()
    on_call(desk, {"who": "Ada", "ways": ["mailto:ada@example.org"]})
    desk.read(40, 31, 8)
    trouble = desk.tell(1100)
    assert trouble.startswith("not everybody could be told: mail: 127.0.0.1:")
    assert "sesame" not in trouble


def test_a_wrong_password_is_a_trouble(tmp_path: Path, office: Office) -> None:
    desk = Desk(tmp_path, office)
    desk.settings = Alarms(smtp=office.mail_address, smtp_tls="none", smtp_user="city", smtp_password="guess")
    on_call(desk, {"who": "Ada", "ways": ["mailto:ada@example.org"]})
    desk.rule(when={"above": 30})
    desk.read(1, 31, 7)
    trouble = desk.tell(1)
    assert "SMTPAuthenticationError" in trouble
    assert "guess" not in trouble


def test_a_shelved_alarm_is_told_to_nobody_and_told_anew_when_it_comes_back(tmp_path: Path, office: Office) -> None:
    desk = Desk(tmp_path, office)
    on_call(desk, {"who": "Ada", "ways": [f"{office.url}/hook"]})
    desk.rule(when={"above": 30})
    desk.read(1, 31, 7)
    desk.tell(1)
    asyncio.run(desk.desk.shelve(1, at(500), "Ada", "works", at(2)))
    desk.tell(400)
    assert len(office.posts) == 1
    desk.tell(500)
    assert len(office.posts) == 2


def test_a_name_that_breaks_a_line_keeps_no_mail_from_being_sent(tmp_path: Path, office: Office) -> None:
    desk = Desk(tmp_path, office)
    on_call(desk, {"who": "Ada", "ways": ["mailto:ada@example.org"]})
    odd = {"id": 7, "name": "a\u2028b\x0bc\x85d\n99  critical  forged: e"}
    change = Change(at(0), "Ada", "test", {}, {"things": [odd]})
    desk.catalog.fold(desk.catalog.applied() + 1, change)
    desk.rule(title="too\x1cwarm", when={"above": 30})
    desk.read(1, 31, 7)
    assert desk.tell(1) == ""
    (mail,) = office.mails
    assert mail["subject"] == "[Helsinki] warning: too warm: a b c d 99  critical  forged: e"
    assert not any(line.startswith("99") for line in mail.get_payload().splitlines())


def test_a_browser_whose_service_does_not_answer_keeps_no_other_waiting(tmp_path: Path, office: Office) -> None:
    browser, silent = BrowserStub(), socket.create_server(("127.0.0.1", 0))
    hanging = browser.subscription(f"http://127.0.0.1:{silent.getsockname()[1]}/")
    browsers = {"a": hanging, "b": hanging, "c": browser.subscription(f"{office.url}/push/c")}

    async def told() -> None:
        sender = PushSender(Key.of(tmp_path / "push.key", ""), "mailto:x@example.org", lambda: browsers, nobody)
        sending = asyncio.create_task(sender.send("push:Ada", Message("s", "t", {"url": ""})))
        for _ in range(50):
            if office.posts:
                break
            await asyncio.sleep(0.1)
        sending.cancel()
        await sender.close()

    async def nobody(_: str) -> None:
        """None is gone."""

    asyncio.run(told())
    silent.close()
    assert [path for path, _, _ in office.posts] == ["/push/c"]


@pytest.mark.parametrize(
    "way", ["mailto:a@", "mailto:@", "mailto:<a@b", "mailto:a@b.org,c@d.org", "mailto:a@b.org;c", "mailto:a@@b",
            "https://?x", "http://desk.example.org/hook", "https://[::1"],
)  # fmt: skip
def test_a_way_on_which_nothing_would_come_or_the_token_be_read_is_refused_when_it_is_given(way: str) -> None:
    with pytest.raises(InputRefused, match=r"is not|webhooks"):
        check_ways(read_on_call({"steps": [{"who": "A", "ways": [way]}]}))


def test_ways_that_lead_somewhere_are_taken() -> None:
    ways = [
        "mailto:a.b+c@d.org",
        "push:A",
        "https://desk.example.org/hook?x=1",
        "http://127.0.0.1:9/x",
        "http://[::1]/x",
    ]
    check_ways(read_on_call({"steps": [{"who": "A", "ways": ways}]}))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"steps": []}, "1 to 20"),
        ({"steps": [{"who": "A", "ways": ["ftp://x"]}]}, "a way is one of"),
        ({"steps": [{"who": "A", "ways": ["mailto:x"]}]}, "no mail address"),
        ({"steps": [{"who": "A", "ways": ["mailto:a@b.org\nBcc: c@d.org"]}]}, "a way is one of"),
        ({"steps": [{"who": "A", "ways": ["push:A"], "after_s": 9}, {"who": "B", "ways": ["push:B"]}]}, "at least"),
        ({"steps": [{"who": "A", "ways": ["push:A"]}], "repeat_s": 1}, "repeat_s"),
    ],
)
def test_a_list_that_cannot_be_is_refused(body: dict[str, Any], why: str) -> None:
    with pytest.raises(InputRefused, match=why):
        read_on_call(body)
