"""A session that nobody uses is over; a login by MQTT publishes what its scope holds and nothing else."""

from pathlib import Path

from civium.core import MICROSECONDS, FixedClock
from civium.engines.catalog import Catalog, Change
from civium.engines.mqtt_logins import ANY_OBSERVATION, EVERYTHING, Admitted
from civium.engines.rights import IDLE_S, Rights, digest_of


def row(identity: int, role: str, secret: str, **more: object) -> dict[str, object]:
    token = {
        "id": identity,
        "name": f"t{identity}",
        "role": role,
        "digest": digest_of(secret.encode()).hex(),
        "made": 0,
    }
    return token | more


def opened(path: Path, *tokens: dict[str, object]) -> Catalog:
    catalog = Catalog.open(f"sqlite:///{path / 'catalog.db'}")
    streams = [
        {
            "id": n,
            "key": f"s{n}",
            "thing": 1,
            "sensor": 1,
            "property": 1,
            "observation_type": "x",
            "access": "restricted",
        }
        for n in range(1, 6001)
    ]
    rows = {"things": [{"id": 1, "key": "t", "kind": "many"}], "sensors": [{"id": 1, "key": "s"}],
            "observed_properties": [{"id": 1}], "datastreams": streams, "tokens": list(tokens)}  # fmt: skip
    catalog.fold(1, Change(1, "t", "t", rows))
    return catalog


def test_a_session_that_nobody_uses_is_over(tmp_path: Path) -> None:
    catalog = opened(tmp_path, row(1, "operator", "used", session=True), row(2, "operator", "program"))
    wall = FixedClock(0)
    rights = Rights(catalog, wall, "local", trusting=False)
    step = (IDLE_S - 1) * MICROSECONDS
    for _ in range(3):
        assert rights.caller(b"used") is not None
        wall.at += step
    wall.at += step
    assert rights.caller(b"used") is None, "the last use was two steps ago"
    assert rights.caller(b"used") is None, "to try does not wake it"
    assert rights.caller(b"program") is not None
    catalog.close()


def test_a_login_by_mqtt_publishes_what_the_scope_holds(tmp_path: Path) -> None:
    tokens = [
        row(1, "device", "two", scope='{"datastreams": [3, 5, 9999]}'),
        row(2, "device", "many", scope='{"kinds": ["many"]}'),
        row(3, "device", "any", scope='{"kinds": ["*"]}'),
        row(4, "operator", "desk"),
    ]
    catalog = opened(tmp_path, *tokens)
    rights = Rights(catalog, FixedClock(0), "local", trusting=True)
    two = rights.admit("two")
    assert isinstance(two, Admitted)
    kinds = ("Datastreams", "MultiDatastreams")
    assert two.publish == tuple(f"civium-in.{kind}({stream}).Observations" for stream in (3, 5) for kind in kinds)
    assert "6000" in str(rights.admit("many"))
    for everything, publish in (
        ("any", ANY_OBSERVATION), ("desk", ()), (None, ()), ("local", EVERYTHING),
    ):  # fmt: skip
        told = rights.admit(everything)
        assert isinstance(told, Admitted)
        assert told.publish == publish
    for nothing in ("", "guess"):
        assert isinstance(rights.admit(nothing), str)
    catalog.close()
