"""What the tests of the standard's requirements share: the door as a client sees it, and entities to put in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.city.conftest import CityProcess

OM = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_"
ANYTHING = "urn:example:anything"  # an observationType of nobody's: results may be any JSON
CELSIUS = {"name": "degree Celsius", "symbol": "degC", "definition": "ucum:Cel"}


class Door:
    """SensorThings of one city, under ``/v1.1``."""

    def __init__(self, city: CityProcess) -> None:
        self.http: httpx.Client = city.client.http
        self.root = f"{city.url}/v1.1"

    def send(self, method: str, path: str, body: Any = None, status: int | tuple[int, ...] = 200) -> httpx.Response:
        """The answer, whose status must be the one that is expected."""
        address = path if path.startswith("http") else f"/v1.1/{path}" if path else "/v1.1"
        answer = (
            self.http.request(method, address, json=body) if body is not None else self.http.request(method, address)
        )
        assert answer.status_code in ((status,) if isinstance(status, int) else status), (method, path, answer.text)
        return answer

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.send("GET", path, status=status)
        return answer.json() if answer.content else None

    def values(self, path: str) -> list[Any]:
        found: list[Any] = self.get(path)["value"]
        return found

    def ids(self, path: str) -> list[int]:
        return [one["@iot.id"] for one in self.values(path)]

    def make(self, path: str, body: Any) -> int:
        """The id of what a POST made; its address must lead to it."""
        made = self.send("POST", path, body, 201)
        self.get(made.headers["location"])
        return int(made.headers["location"].rpartition("(")[2][:-1])

    @contextmanager
    def nothing_made(self, *plurals: str) -> Iterator[None]:
        """No entity of these kinds is made within."""
        before = {plural: self.get(f"{plural}?$count=true&$top=0")["@iot.count"] for plural in plurals}
        yield
        assert {plural: self.get(f"{plural}?$count=true&$top=0")["@iot.count"] for plural in plurals} == before


def point(lon: float = 24.9, lat: float = 60.2) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [lon, lat]}


def place(name: str = "quay", where: Any = None, **more: Any) -> dict[str, Any]:
    where = where or point()
    return {"name": name, "description": name, "encodingType": "application/geo+json", "location": where, **more}


def feature(name: str = "basin", where: Any = None) -> dict[str, Any]:
    where = where or point()
    return {"name": name, "description": name, "encodingType": "application/geo+json", "feature": where}


def sensor(name: str = "float") -> dict[str, Any]:
    return {"name": name, "description": name, "encodingType": "application/pdf", "metadata": f"http://x/{name}.pdf"}


def observed(name: str = "level") -> dict[str, Any]:
    return {"name": name, "description": name, "definition": f"http://example.org/{name}"}


def stream(name: str = "heat", kind: str = OM + "Measurement", unit: Any = None, **more: Any) -> dict[str, Any]:
    """A Datastream with a Sensor and an ObservedProperty of its own."""
    own = {"name": name, "description": name, "observationType": kind, "unitOfMeasurement": unit or CELSIUS}
    links = {} if "Sensor" in more else {"Sensor": sensor()}
    links |= {} if "ObservedProperty" in more else {"ObservedProperty": observed()}
    return {**own, **links, **more}


def thing(name: str = "oven", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": name, **more}


def ref(identity: int) -> dict[str, int]:
    return {"@iot.id": identity}
