"""Subscribers hear by MQTT what they may read: all of a class of access, in an account of its own."""

import json
from collections.abc import Iterator

import pytest

from civium.city_folder import token
from tests.city.conftest import CityProcess
from tests.city.test_mqtt_topics import listening
from tests.web.test_logins import SOON_S, connected, register

CLASSES = {"open": {}, "internal": {"access": "internal"}, "restricted": {"access": "restricted"},
           "personal": {"personal": True}}  # fmt: skip
HEARD = {"": {"open"}, "internal": {"open", "internal"}, "restricted": set(CLASSES)}  # by user name


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    city = CityProcess(tmp_path_factory.mktemp("hearing") / "city", True, {"CIVIUM_RIGHTS_ANONYMOUS": "read"}).start()
    yield city
    city.stop()


@pytest.fixture(scope="module")
def streams(strict: CityProcess) -> dict[str, int]:
    return {name: register(strict, f"of {name}", **how) for name, how in CLASSES.items()}


def made(city: CityProcess, name: str, role: str, **how: object) -> tuple[int, str]:
    told = city.client.post("/api/tokens", name=name, role=role, **how)
    return told["id"], told["token"]


@pytest.mark.parametrize("user", HEARD)
@pytest.mark.parametrize("topic", ["v1.1/Observations", "v1.1/#", "v1.1/+/Observations"])
def test_who_may_read_a_class_hears_it_and_nothing_beyond(
    strict: CityProcess, streams: dict[str, int], user: str, topic: str
) -> None:
    secret = {
        "internal": lambda: made(strict, f"operator {topic}", "operator")[1],
        "restricted": lambda: token(strict.folder),
    }
    login = (user, secret[user]()) if user else None
    values = {name: float(n) for n, name in enumerate(CLASSES)}
    with listening(strict, topic, login=login) as following:
        for name, value in [*values.items(), ("open", 99.0)]:  # all before the last was told by then
            path = f"/v1.1/Datastreams({streams[name]})/Observations"
            assert strict.client.http.post(path, json={"result": value}).status_code == 201
        heard: set[float] = set()
        while 99.0 not in heard:
            heard.add(following()[1].get("result", 99.5))
    assert heard - {99.0, 99.5} == {values[name] for name in HEARD[user]}


def test_a_thing_of_closed_streams_is_told_where_it_may_be_known(strict: CityProcess, streams: dict[str, int]) -> None:
    thing = strict.client.get(f"/v1.1/Datastreams({streams['restricted']})/Thing")["@iot.id"]
    login = ("restricted", token(strict.folder))
    with listening(strict, f"v1.1/Things({thing})", login=login) as mine, listening(strict, "v1.1/Things") as others:
        for name in ("told", "told again"):
            strict.client.http.patch(f"/v1.1/Things({thing})", json={"name": name}).raise_for_status()
            assert mine()[1]["name"] == name
        strict.client.http.post("/v1.1/Things", json={"name": "last", "description": ""}).raise_for_status()
        assert others()[1]["name"] == "last"


@pytest.mark.parametrize("guard", ["restricted", "personal"])
@pytest.mark.parametrize("user", HEARD)
def test_the_feature_of_a_guarded_observation_is_told_to_who_may_read_all(
    strict: CityProcess, streams: dict[str, int], user: str, guard: str
) -> None:
    secret = {
        "internal": lambda: made(strict, f"operator {guard} features", "operator")[1],
        "restricted": lambda: token(strict.folder),
    }
    name = f"feature of {guard} for {user}"
    feature = {"name": name, "description": "", "encodingType": "application/geo+json",
               "feature": {"type": "Point", "coordinates": [5, 52]}}  # fmt: skip
    heard: list[str] = []
    with listening(strict, "v1.1/#", login=(user, secret[user]()) if user else None) as following:
        body = {"result": 1, "FeatureOfInterest": feature}
        strict.client.http.post(f"/v1.1/Datastreams({streams[guard]})/Observations", json=body).raise_for_status()
        path = f"/v1.1/Datastreams({streams['open']})/Observations"
        while not heard or '"result": 99' not in heard[-1]:  # all before it was told by then
            if not heard:
                strict.client.http.post(path, json={"result": 99}).raise_for_status()
            heard.append(json.dumps(following()[1]))
    assert (name in "".join(heard)) == (user == "restricted")


def test_who_may_read_less_is_not_let_in(strict: CityProcess, streams: dict[str, int]) -> None:
    narrow = {"scopes": {"kinds": ["of internal"]}}
    cases = [
        ("internal", made(strict, "narrow", "department", **narrow)[1]),
        ("internal", made(strict, "device", "device", scopes={"datastreams": [streams["internal"]]})[1]),
        ("restricted", made(strict, "wide", "operator")[1]),
        ("internal", "civ_nothing"),
        ("civium-internal", token(strict.folder) + "x"),
    ]
    for user, secret in cases:
        with pytest.raises(AssertionError, match="not let in"), connected(strict, secret, user):
            pass


def test_who_hears_publishes_nothing_and_goes_with_the_token(strict: CityProcess, streams: dict[str, int]) -> None:
    identity, secret = made(strict, "operator who hears", "operator")

    def count() -> int:
        path = f"/v1.1/Datastreams({streams['open']})/Observations?$count=true&$top=0"
        return int(strict.client.get(path)["@iot.count"])

    before = count()
    with connected(strict, secret, "internal") as (client, ended):
        for topic in (
            f"v1.1/Datastreams({streams['open']})/Observations",
            f"civium-in/Datastreams({streams['open']})/Observations",
        ):
            client.publish(topic, '{"result": 66}', qos=1)
        with listening(strict, "v1.1/Observations") as others:
            body = {"result": 7}
            strict.client.http.post(f"/v1.1/Datastreams({streams['open']})/Observations", json=body).raise_for_status()
            assert others()[1]["result"] == 7
        assert count() == before + 1
        strict.client.delete(f"/api/tokens/{identity}")
        assert ended.wait(SOON_S)
