"""A person whom a provider vouches for comes in with the role that the settings give; nobody else does."""

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.city.conftest import CityProcess


class Provider:
    """A provider on loopback: it gives a code for what was asked, and an ID token for a code and its verifier."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.signing = self.key
        self.lies: dict[str, Any] = {}
        self.unsigned = False
        self.person: dict[str, Any] = {}
        self.asked: dict[str, dict[str, str]] = {}
        self.refused = ""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                if url.path.endswith("/openid-configuration"):
                    self.tell(
                        {"issuer": provider.url, "authorization_endpoint": f"{provider.url}/authorize",
                         "token_endpoint": f"{provider.url}/token", "jwks_uri": f"{provider.url}/keys"}
                    )  # fmt: skip
                elif url.path == "/keys":
                    self.tell(KeySet([provider.key]).as_dict(private=False))
                else:
                    query = {name: one[0] for name, one in parse_qs(url.query).items()}
                    code = f"code{len(provider.asked)}"
                    provider.asked[code] = query
                    self.send_response(302)
                    self.send_header("Location", f"{query['redirect_uri']}?code={code}&state={query['state']}")
                    self.end_headers()

            def do_POST(self) -> None:
                form = {
                    k: v[0] for k, v in parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()).items()
                }
                asked = provider.asked.pop(form["code"], None)
                if asked is None or create_s256_code_challenge(form["code_verifier"]) != asked["code_challenge"]:
                    self.tell({"error": "invalid_grant"}, 400)
                    return
                now = int(time.time())
                claims = {"iss": provider.url, "aud": asked["client_id"], "nonce": asked["nonce"], "iat": now,
                          "exp": now + 300, **provider.person, **provider.lies}  # fmt: skip
                token = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, provider.signing)
                if provider.unsigned:
                    _, body, _ = token.split(".")
                    none = urlsafe_b64encode(b'{"alg": "none"}').decode().rstrip("=")
                    token = f"{none}.{body}."
                self.tell({"access_token": "a", "token_type": "Bearer", "id_token": token})

            def tell(self, content: Any, status: int = 200) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def provider() -> Iterator[Provider]:
    one = Provider()
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_provider_vouches_for_people(provider: Provider, tmp_path: Path) -> None:
    city = CityProcess(tmp_path / "city", True, {"OPENID_SECRET": "s3cret-of-the-client"})
    city.folder.mkdir()
    (city.folder / "civium.toml").write_text(
        f"""
[openid]
issuer = "{provider.url}"
client_id = "civium"
client_secret = "env:OPENID_SECRET"
roles = {{ water = "department", chiefs = "administrator" }}
scopes = {{ water = {{ kinds = ["pump"] }} }}
"""
    )
    city.start()
    try:
        _vouched(city, provider)
    finally:
        city.stop()


def _vouched(city: CityProcess, provider: Provider) -> None:
    def login(groups: list[str], **lies: Any) -> httpx.Response:
        provider.person, provider.lies = {"sub": "u1", "preferred_username": "ada", "groups": groups}, lies
        with httpx.Client(base_url=city.url, timeout=60, follow_redirects=True) as browser:
            came = browser.get("/api/login/openid")
            if came.status_code == 200:
                return browser.get("/api/me")
            return came

    told = login(["other", "water"]).json()
    assert (told["name"], told["role"], told["scopes"]) == ("ada", "department", {"kinds": ["pump"]})
    assert told["csrf"]
    assert login(["chiefs"]).json()["role"] == "administrator"
    (made,) = city.client.get("/api/audit", limit=1)
    assert made["who"] == "ada"
    assert "u1" in made["why"]
    assert login(["nobody"]).status_code == 403
    for lie in ({"nonce": "x"}, {"aud": "another"}, {"iss": "http://evil.example"}, {"exp": 1}):
        assert login(["chiefs"], **lie).status_code == 403, lie
    provider.signing = RSAKey.generate_key(2048, {"kid": "k1"})
    assert login(["chiefs"]).status_code == 403
    provider.signing = provider.key
    provider.unsigned = True
    assert login(["chiefs"]).status_code == 403
    provider.unsigned = False
    over_tls = httpx.get(f"{city.url}/api/login/openid", headers={"X-Forwarded-Proto": "https"})
    begun = over_tls.headers["set-cookie"].lower()
    assert begun.startswith("__host-civium_login=")
    assert {"secure", "httponly", "path=/", "samesite=lax"} <= set(begun.split("; "))
    # Another browser cannot end what this one began, and nothing is taken twice.
    with httpx.Client(base_url=city.url, timeout=60) as one, httpx.Client(base_url=city.url, timeout=60) as other:
        to_provider = one.get("/api/login/openid").headers["location"]
        back = httpx.get(to_provider).headers["location"]
        assert other.get(back).status_code == 400
        assert one.get(back).status_code == 400
    assert city.client.http.get("/api/login/openid/return?state=x&code=y").status_code == 400
    answers = [httpx.get(f"{city.url}/api/login/openid").status_code for _ in range(60)]
    assert set(answers) == {303, 429}  # so that one address keeps no other from logging in
    files = [path for path in city.folder.rglob("*") if path.is_file()]
    assert [path for path in files if b"s3cret-of-the-client" in path.read_bytes()] == []
