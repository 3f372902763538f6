"""Traces: a collector of OpenTelemetry on loopback hears what a city does, by the ids of its log and its record."""

import builtins
import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from civium.core import traces
from civium.core.extras import ExtraMissing
from tests.city.conftest import CityProcess
from tests.city.test_spine import feed, register, wait_for

collector = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")


@pytest.fixture
def heard() -> Iterator[tuple[str, list[Any], list[str]]]:
    """The endpoint of a collector, the spans that it was told, and what was told of who tells them."""
    spans: list[Any] = []
    who: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            told = collector.ExportTraceServiceRequest.FromString(body)
            for resource in told.resource_spans:
                who.extend(f"{one.key}={one.value.string_value}" for one in resource.resource.attributes)
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans, who
    server.shutdown()
    server.server_close()


def facts(span: Any) -> dict[str, Any]:
    def value(one: Any) -> Any:
        kind = one.WhichOneof("value")
        return [value(inner) for inner in one.array_value.values] if kind == "array_value" else getattr(one, kind)

    return {one.key: value(one.value) for one in span.attributes}


def test_a_reading_is_followed_from_the_door_to_the_store_and_a_turn_by_its_decision(
    new_city: Callable[..., CityProcess], heard: tuple[str, list[Any], list[str]]
) -> None:
    endpoint, spans, who = heard
    city = new_city(CIVIUM_TRACES_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="200", CIVIUM_NAME="Traced")
    ids = register(city)
    stream = ids["streams"]["lamp/0/level"]
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    path = f"/v1.1/Datastreams({stream})/Observations"
    answer = city.client.http.post(f"{path}?x=1", json={"result": 0.625}, headers={"traceparent": parent})
    assert answer.status_code == 201
    assert city.client.http.post(path, json={"result": 0.5}).status_code == 201
    feed(city, ids["streams"])
    assert city.client.http.get("/v1.1/Nonsense").status_code == 404

    def named(name: str, **wanted: Any) -> list[dict[str, Any]]:
        told = [facts(one) for one in list(spans) if one.name == name]
        return [one for one in told if all(one.get(key) == value for key, value in wanted.items())]

    def posts() -> list[dict[str, Any]]:
        return [one for one in named("POST") if one.get("civium.batches")]

    wait_for(lambda: len(posts()) >= 2, 30)
    first, second = posts()[:2]
    for post in (first, second):
        [batch] = post["civium.batches"]
        assert (post["http.response.status_code"], post["civium.role"]) == (201, "administrator")
        [publish] = wait_for(lambda batch=batch: named("log publish", **{"civium.message": batch}), 30)
        assert publish["civium.stream"] == batch.partition("/")[0]

        def stored(batch: str = batch) -> bool:
            stream, _, sequence = batch.partition("/")
            return any(
                int(one["civium.first_batch"].partition("/")[2])
                <= int(sequence)
                <= int(one["civium.last_batch"].partition("/")[2])
                for one in named("store batch")
                if one["civium.first_batch"].startswith(f"{stream}/")
            )

        wait_for(stored, 30)
    carried = [one for one in spans if one.trace_id.hex() == parent.split("-")[1]]
    assert parent.split("-")[2] in {one.parent_span_id.hex() for one in carried}
    wait_for(lambda: named("GET", **{"http.response.status_code": 404}), 30)
    turn = wait_for(lambda: named("turn", **{"civium.practice": "dimmer"}), 60)[0]
    assert any(one.startswith("OBS0/") for one in turn["civium.cut"])
    assert turn["civium.decision"].startswith("dimmer.all.")
    assert "service.name=civium" in who
    assert "civium.city=Traced" in who
    secret = city.client.http.headers["Authorization"].removeprefix("Bearer ")
    everything = " ".join(map(str, spans))
    assert "0.625" not in everything
    assert secret not in everything


def test_a_collector_that_is_away_harms_nothing(new_city: Callable[..., CityProcess]) -> None:
    city = new_city(CIVIUM_TRACES_ENDPOINT="http://127.0.0.1:9/v1/traces")
    stream = register(city)["streams"]["lamp/0/level"]
    assert city.client.http.post(f"/v1.1/Datastreams({stream})/Observations", json={"result": 1}).status_code == 201
    assert city.client.http.get("/health").status_code == 200


def test_without_the_library_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = builtins.__import__

    def missing(module: str, *_: Any) -> Any:
        if module.startswith("opentelemetry.sdk"):
            raise ModuleNotFoundError(f"No module named '{module}'", name=module)
        return taken(module)

    monkeypatch.setattr("civium.core.extras.import_module", missing)
    with pytest.raises(ExtraMissing, match=r'pip install "civium\[traces\]"'):
        traces.begin("http://127.0.0.1:9/v1/traces", 1.0, "city", "0")
    with traces.span("nothing") as told:
        told.set_attribute("a", 1)
    assert not traces.on()
