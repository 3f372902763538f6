"""A city with a certificate speaks TLS and nothing else, and the command line on its machine finds it."""

import queue
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from civium.engines.settings import SettingsWrong, load
from tests.city.conftest import CityProcess


def certify(folder: Path) -> None:
    """A certificate that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "city.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def hear(heard: "queue.Queue[str]", what: str) -> None:
    """Wait for a topic; among all that is told others may come before."""
    while heard.get(timeout=60) != what:
        pass


# With another time of syncing the devices have a server of their own.
@pytest.mark.parametrize(("transport", "sync"), [("tcp", "always"), ("tcp", "200ms"), ("websockets", "always")])
def test_devices_speak_mqtt_over_tls_and_nothing_else(tmp_path: Path, transport: str, sync: str) -> None:
    environment = {
        "CIVIUM_DOORS_MQTT_TLS_CERTIFICATE": "tls.pem",
        "CIVIUM_DOORS_MQTT_TLS_KEY": "tls.key",
        "CIVIUM_DOORS_MQTT_SYNC": sync,
    }
    city = CityProcess(tmp_path / "city", True, environment)
    city.folder.mkdir()
    certify(city.folder)
    city.start()
    try:
        line = {"key": "g", "kind": "g", "name": "g", "streams": [{"key": "g/p", "property": "p", "unit": "1"}],
                "actuators": [{"key": "g/a", "name": "a", "facts": {"unit": "%"}}]}  # fmt: skip
        made = city.client.post("/api/register", **line)
        stream, actuator = made["streams"]["g/p"], made["actuators"]["g/a"]
        address = city.mqtt
        endpoints = str(city.client.get("/v1.1")["serverSettings"])
        assert "mqtts://" in endpoints
        assert "wss://" in endpoints
        if transport == "websockets":
            host, _, port = city.client.get("/api/status")["doors"]["websocket"].rpartition(":")
            address = (host, int(port))
        heard: queue.Queue[str] = queue.Queue()

        def connect(context: ssl.SSLContext | None) -> paho.Client:
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, transport=transport, reconnect_on_failure=False)  # type: ignore[arg-type]  # the parameter is one of the two words
            if transport == "websockets":
                client.ws_set_options("/mqtt")
            if context is not None:
                client.tls_set_context(context)
            client.on_message = lambda _c, _u, m: heard.put(m.topic)
            client.on_subscribe = lambda *_: heard.put("ready")
            client.on_connect = lambda c, *_: c.subscribe([("v1.1/#", 0)])
            client.connect(*address)
            client.loop_start()
            return client

        trust = ssl.create_default_context(cafile=str(city.folder / "tls.pem"))
        trust.check_hostname = False
        client = connect(trust)
        hear(heard, "ready")
        client.publish(f"v1.1/Datastreams({stream})/Observations", '{"result": 7}', qos=1).wait_for_publish(30)
        hear(heard, f"v1.1/Datastreams({stream})/Observations")
        found = city.client.get(f"/v1.1/Datastreams({stream})/Observations")["value"]
        assert [one["result"] for one in found] == [7]
        # What the city itself sends to devices goes the same way.
        wish = {"TaskingCapability": {"@iot.id": actuator}, "taskingParameters": {"value": 3}}
        assert city.client.http.post("/v1.1/Tasks", json=wish).status_code == 201
        hear(heard, f"v1.1/TaskingCapabilities({actuator})/Tasks")
        client.disconnect()
        client.loop_stop()
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(ssl.create_default_context())  # nobody else vouches for it
        with socket.create_connection(address, timeout=30) as plain:
            plain.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab")  # CONNECT, without TLS
            assert plain.recv(100)[:1] != b"\x20"  # no CONNACK
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(address, timeout=30) as raw, pytest.raises(ssl.SSLError):
            old.wrap_socket(raw)
    finally:
        city.stop()


def test_a_city_with_a_certificate_speaks_tls_alone(tmp_path: Path) -> None:
    environment = {"CIVIUM_DOORS_TLS_CERTIFICATE": "tls.pem", "CIVIUM_DOORS_TLS_KEY": "tls.key"}
    city = CityProcess(tmp_path / "city", True, environment)
    city.folder.mkdir()
    certify(city.folder)
    city.start()
    try:
        assert city.url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(city.folder / "tls.pem"))
        trust.check_hostname = False
        token = city.client.http.headers["Authorization"].removeprefix("Bearer ")
        with httpx.Client(base_url=city.url, verify=trust, timeout=60) as http:
            came = http.post("/api/login", json={"token": token})
            assert "max-age=31536000" in came.headers["strict-transport-security"]
            cookie = came.headers["set-cookie"]
            assert cookie.startswith("__Host-civium_session=")
            assert "secure" in cookie.lower()
            assert http.get("/api/me").json()["role"] == "administrator"
        with pytest.raises(httpx.ConnectError):
            httpx.get(city.url, timeout=60)  # nobody else vouches for it
        with pytest.raises(httpx.HTTPError):
            httpx.get(city.url.replace("https", "http"), timeout=60).raise_for_status()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            httpx.get(city.url, verify=old, timeout=60)
        assert city.run("token", "list").returncode == 0
    finally:
        city.stop()


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong, match="belong together"):
        load(tmp_path, {"CIVIUM_DOORS_TLS_CERTIFICATE": "tls.pem"})
