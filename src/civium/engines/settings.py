"""The settings of a city: ``civium.toml`` in its folder, with the environment (``CIVIUM_SECTION_KEY``) over it."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from civium.core import CiviumError
from civium.core.logs import FORMATS, LEVELS
from civium.core.observations import MAX_SHARDS
from civium.engines.abilities import REQUIRED, check

ALWAYS = "always"
DOORS = ("http", "mqtt", "websocket")
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
_NAME = re.compile(r"[A-Za-z0-9-]{1,40}")
_SECRETS = ("smtp_password", "webhook_token", "push_key")  # of [alarms]
_INTERVAL = re.compile(r"[1-9][0-9]{0,4}(ms|s)")


class SettingsWrong(CiviumError):
    """A setting is wrong. Whoever runs the city must change it."""


class Engines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One engine a role, by URL; paths are relative to the city's folder."""

    log: str = "embedded:log"
    store: str = "ducklake:lake"
    catalog: str = "sqlite:catalog.db"
    blobs: str = "file:blobs"
    compute: str = "processes:2"


class Doors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the city listens, and what it refuses. Ports may be 0: any free one."""

    http: str = "127.0.0.1:8765"
    mqtt: str = "127.0.0.1:1883"
    websocket: str = "127.0.0.1:0"
    tls_certificate: str = ""  # file with the chain, PEM; empty: HTTP without TLS
    tls_key: str = ""  # file with its private key, PEM
    mqtt_tls_certificate: str = ""  # the same for MQTT and MQTT over WebSocket of an embedded log
    mqtt_tls_key: str = ""
    max_body_mb: float = 64.0
    future_s: float = 60.0  # how far in the future `made` may lie
    recent_keys: int = 4_000_000  # the latest idempotency keys that are remembered
    mqtt_sync: str = ALWAYS  # when what devices publish is synced: before it is acknowledged, or that often


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the history is kept."""

    memory_mb: int = 2048
    threads: int = 2
    retention_days: float = 90.0  # of raw observations; 0: for ever
    quarter_hours_days: float = 0.0  # of 15-minute figures, once the raw ones have gone; 0: for ever
    daily_days: float = 0.0  # of daily figures, likewise
    state_days: float = 30.0  # of the states of practices: older decisions are explained, not replayable
    maintain_every_s: float = 60.0
    commit_every_s: float = 1.0  # the longest that an accepted row waits for its commit when nobody reads


class ClockSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who tells the city's time: the machine (``wall``) or a sandbox through the door ``POST /clock`` (``door``)."""

    source: str = "wall"


class LogStreams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the log is laid out."""

    shards: int = 1  # streams of observations: as many writers can share the work
    replicas: int = 1  # nodes of a cluster that store each message
    edges: tuple[str, ...] = ()  # names of the edges whose devices' readings are fetched


class Alarms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How those who are on call are told. The password, the token and the key come from the environment alone."""

    smtp: str = ""  # the mail server, host:port
    smtp_tls: str = "starttls"  # starttls, tls or none
    smtp_user: str = ""
    smtp_password: str = ""
    sender: str = "civium@localhost"
    webhook_token: str = ""  # sent as Authorization: Bearer
    push_key: str = ""  # P-256, base64url; empty: the file push.key in the city's folder, made once
    push_contact: str = "mailto:civium@localhost"  # whom a push service may write to
    url: str = ""  # of the page where alarms are acknowledged, for messages


class Says(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the city says on standard error while it works."""

    level: str = "warning"  # debug, info, warning or error
    format: str = "text"  # text or json


class Traces(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is told to a collector of OpenTelemetry."""

    endpoint: str = ""  # such as http://127.0.0.1:4318/v1/traces; empty: nothing
    ratio: float = 1.0  # of all traces, from 0 to 1


class Edge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``civium edge`` runs; a city leaves it empty."""

    name: str = ""
    centre: tuple[str, ...] = ()  # nats-leaf://user:password@host:7422 of one or more nodes of the city's log


class RightsOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the doors allow to whom; ``anonymous``: what may be done without a token (see ``docs/security.md``)."""

    anonymous: str = "local"  # local: write what is open while only this machine reaches the doors; read; write
    requests_per_s: float = 0.0  # of one token, or of one address without one; 0: as many as come
    origins: tuple[str, ...] = ()  # of pages elsewhere whose scripts may ask, such as https://maps.example.org


class OpenId(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who vouches for people, by OpenID Connect, and what its words mean here; without an issuer nobody does."""

    issuer: str = ""
    client_id: str = ""
    client_secret: str = ""  # env:NAME
    claim: str = "groups"  # of the ID token, whose values ``roles`` and ``scopes`` speak of
    roles: dict[str, str] = {}
    scopes: dict[str, dict[str, list[str | int]]] = {}


class Register(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the public register of algorithms says of the city beside the practices' own entries."""

    organization: str = ""  # its official name; empty: the city's name
    contact_email: str = ""
    area: str = ""  # where the practices are used; empty: the city's name
    country: str = ""  # its two letters (ISO 3166), for what is exchanged between countries


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a city."""

    name: str = "Civium"
    engines: Engines = Engines()
    doors: Doors = Doors()
    log: LogStreams = LogStreams()
    store: Store = Store()
    clock: ClockSource = ClockSource()
    edge: Edge = Edge()
    rights: RightsOf = RightsOf()
    alarms: Alarms = Alarms()
    says: Says = Says()
    traces: Traces = Traces()
    register: Register = Register()
    openid: OpenId = OpenId()
    sources: dict[str, dict[str, Any]] = {}  # what each kind of source may be told, it says itself


def load(folder: Path, environment: Mapping[str, str] | None = None, *, several: bool = False) -> Settings:
    """Settings of the city in ``folder``; raises SettingsWrong naming the key, EngineUnsuitable naming the engine.

    ``several``: the city is to run in several processes; so it also may when its log is shared.
    """
    environment = os.environ if environment is None else environment
    path = folder / "civium.toml"
    raw: dict[str, Any] = {}
    if path.exists():
        try:
            raw = tomllib.loads(path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsWrong(f"{path} is not valid TOML: {error}") from error
    for name in _SECRETS:
        if isinstance(told := raw.get("alarms"), dict) and told.get(name):
            raise SettingsWrong(f"alarms.{name} is a secret: set CIVIUM_ALARMS_{name.upper()} in the environment")
    _overlay(raw, environment)
    try:
        settings = msgspec.convert(raw, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsWrong(f"{path} or the environment: {error}") from error
    several = several or settings.engines.log.startswith("nats:")
    for role in REQUIRED:
        check(role, getattr(settings.engines, role), shared=several)
    if not 1 <= settings.log.shards <= MAX_SHARDS:
        raise SettingsWrong(f"log.shards is {settings.log.shards}: 1 to {MAX_SHARDS} are possible")
    if settings.log.replicas not in (1, 3, 5):
        raise SettingsWrong(f"log.replicas is {settings.log.replicas}: use 1, 3 or 5")
    if settings.clock.source not in ("wall", "door"):
        raise SettingsWrong(f"clock.source is '{settings.clock.source}': use 'wall' or 'door'")
    for name in (*settings.log.edges, *filter(None, [settings.edge.name])):
        if not _NAME.fullmatch(name):
            raise SettingsWrong(f"'{name}' cannot name an edge: use letters, digits and - only")
    if settings.log.edges and not settings.engines.log.startswith("nats:"):
        raise SettingsWrong("log.edges needs a log that edges can connect to: set engines.log to nats://...")
    sync = settings.doors.mqtt_sync
    if sync != ALWAYS and (several or not _INTERVAL.fullmatch(sync)):
        hint = "the servers of a shared log have it in their own configuration" if several else "or such as '200ms'"
        raise SettingsWrong(f"doors.mqtt_sync is '{sync}': use '{ALWAYS}'; {hint}")
    for name, told, allowed in (("level", settings.says.level, LEVELS), ("format", settings.says.format, FORMATS)):
        if told not in allowed:
            raise SettingsWrong(f"says.{name} is '{told}': use {', '.join(allowed)}")
    if settings.traces.endpoint and not settings.traces.endpoint.startswith(("http://", "https://")):
        raise SettingsWrong(f"traces.endpoint is '{settings.traces.endpoint}': use http://HOST:4318/v1/traces")
    if not 0 <= settings.traces.ratio <= 1:
        raise SettingsWrong(f"traces.ratio is {settings.traces.ratio}: use 0 to 1")
    if settings.alarms.smtp:
        address(settings.alarms.smtp)
    if settings.alarms.smtp_tls not in ("starttls", "tls", "none"):
        raise SettingsWrong(f"alarms.smtp_tls is '{settings.alarms.smtp_tls}': use starttls, tls or none")
    for door in DOORS:
        address(getattr(settings.doors, door))
    for door in ("", "mqtt_"):
        files = [getattr(settings.doors, f"{door}tls_{name}") for name in ("certificate", "key")]
        if bool(files[0]) != bool(files[1]):
            why = f"doors.{door}tls_certificate and doors.{door}tls_key belong together: set both, or none"
            raise SettingsWrong(why)
    if settings.doors.mqtt_tls_certificate and not settings.engines.log.startswith("embedded:"):
        raise SettingsWrong("doors.mqtt_tls_certificate is for an embedded log: a cluster's servers have their own TLS")
    if settings.rights.anonymous not in ("local", "read", "write"):
        raise SettingsWrong(f"rights.anonymous is '{settings.rights.anonymous}': use 'local', 'read' or 'write'")
    return settings


def mqtt_tls(settings: Settings, folder: Path) -> tuple[Path, Path] | None:
    """Certificate and key of MQTT; None: it has no TLS. Raises SettingsWrong for a file that is not there."""
    doors = settings.doors
    if not doors.mqtt_tls_certificate:
        return None
    certificate, key = folder / doors.mqtt_tls_certificate, folder / doors.mqtt_tls_key
    for name, path in (("certificate", certificate), ("key", key)):
        if not path.is_file():
            raise SettingsWrong(f"doors.mqtt_tls_{name}: there is no file {path}")
    return certificate.resolve(), key.resolve()


def trusting(settings: Settings) -> bool:
    """Whether who comes without a token may write: it is set to, or only this machine reaches its doors."""
    hosts = [address(getattr(settings.doors, door))[0] for door in DOORS]
    own = settings.engines.log.startswith("embedded:") and all(host in LOOPBACK for host in hosts)
    return settings.rights.anonymous == "write" or (own and settings.rights.anonymous == "local")


def _overlay(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    for section in msgspec.structs.fields(Settings):
        if isinstance(section.type, type) and issubclass(section.type, msgspec.Struct):
            for key in msgspec.structs.fields(section.type):
                text = environment.get(f"CIVIUM_{section.name}_{key.name}".upper())
                if text is not None:
                    several = key.type == tuple[str, ...]
                    raw.setdefault(section.name, {})[key.name] = text.split(",") if several else text
        elif section.type is str and (text := environment.get(f"CIVIUM_{section.name}".upper())) is not None:
            raw[section.name] = text


def address(text: str) -> tuple[str, int]:
    """Split ``host:port``."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise SettingsWrong(f"'{text}' is not host:port")
    return host, int(port)
