"""A city with a certificate speaks TLS and nothing else, and the command line on its machine finds it."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
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
