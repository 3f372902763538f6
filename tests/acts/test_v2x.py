"""Messages of cooperative traffic lights come back as they were sent; a controller is asked and heard."""

import asyncio
import contextlib
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.acts import its
from civium.acts.its import Answer, Intersection, Request
from civium.acts.task import Task
from civium.acts.v2x import V2xSender, controller
from civium.core import FixedClock, InputRefused
from civium.core.clock import MICROSECONDS
from civium.core.extras import ExtraMissing

NOW = 1_782_043_200 * MICROSECONDS  # 2026-06-21T12:00:00Z
INTO_YEAR = (171 * 86_400 + 12 * 3600) * MICROSECONDS  # of NOW
AT = st.builds(Intersection, st.integers(0, 65_535), st.integers(0, 65_535))
STATION = st.integers(0, 2**32 - 1)


@given(STATION, AT, st.integers(0, 255), st.integers(0, 255), st.integers(0, 59_999), st.integers(0, 65_535))
@settings(deadline=None)
def test_a_request_comes_back(station: int, at: Intersection, number: int, way: int, ms: int, lasts: int) -> None:
    now = NOW + ms * 1000
    request = Request(station, at, number, way, now, now + lasts * 1000)
    told = its.read_srem(its.srem(request))
    assert told == replace(request, now=INTO_YEAR + ms * 1000, until=INTO_YEAR + (ms + lasts) * 1000)


@given(AT, STATION, st.integers(0, 255), st.integers(0, 255), st.sampled_from(["granted", "rejected", "processing"]))
@settings(deadline=None)
def test_an_answer_comes_back(at: Intersection, station: int, number: int, way: int, status: str) -> None:
    answer = Answer(at, station, number, way, status)
    assert its.read_ssem(its.ssem(answer, NOW, 7)) == [answer]


@given(AT, st.text("GgyruoO", min_size=1, max_size=60))
@settings(deadline=None)
def test_what_is_shown_comes_back(at: Intersection, state: str) -> None:
    assert its.read_spatem(its.spatem(at, state, NOW, 7)) == {at: state}


POINTS = st.lists(st.tuples(st.integers(-9000, 9000), st.integers(-9000, 9000)), min_size=2, max_size=8)
LANE = st.fixed_dictionaries(
    {
        "points": POINTS.map(lambda found: [(x / 100, y / 100) for x, y in found]),
        "incoming": st.booleans(),
        "ways": st.lists(st.tuples(st.integers(1, 20), st.integers(1, 60)), max_size=4),
    }
)


@given(
    AT,
    st.integers(-1_799_999_999, 1_799_999_999),
    st.integers(-899_999_999, 899_999_999),
    st.lists(LANE, min_size=1, max_size=6),
)
@settings(deadline=None, max_examples=40)
def test_how_lanes_lie_comes_back(at: Intersection, lon: int, lat: int, lanes: list[dict[str, object]]) -> None:
    where = (lon / 1e7, lat / 1e7)
    told_at, told_where, told = its.read_mapem(its.mapem(at, where, lanes, 7))
    assert (told_at, told_where) == (at, pytest.approx(where, abs=1e-9))
    for lane, before in zip(told, lanes, strict=True):
        assert lane["incoming"] == before["incoming"]
        assert lane["ways"] == before["ways"]
        for a, b in zip(lane["points"], before["points"], strict=True):  # type: ignore[call-overload]
            assert a == pytest.approx(b, abs=1e-9)


def test_what_no_message_can_say_is_refused() -> None:
    with pytest.raises(InputRefused, match="no SREM"):
        its.srem(Request(1, Intersection(0, 70_000), 1, 1, NOW, NOW))
    with pytest.raises(InputRefused, match="'x' is no state"):
        its.spatem(Intersection(0, 1), "Gx", NOW, 7)
    with pytest.raises(InputRefused, match="apart"):
        its.mapem(Intersection(0, 1), (0.0, 0.0), [{"points": [(0, 0), (400, 0)], "incoming": True, "ways": []}], 7)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_what_is_no_message_is_refused_and_harms_nothing(message: bytes) -> None:
    for read in (its.read_srem, its.read_ssem, its.read_spatem, its.read_mapem):
        with contextlib.suppress(InputRefused):
            read(message)


@pytest.mark.parametrize(
    "address",
    ["", "http://a:1?intersection=1", "udp://a?intersection=1", "udp://a:1", "udp://a:99999?intersection=1",
     "udp://a:1?intersection=x", "udp://a:1?intersection=70000", "udp://a:1?intersection=1&station=-1"],
)  # fmt: skip
def test_an_address_that_is_none_says_what_one_looks_like(address: str) -> None:
    with pytest.raises(InputRefused, match="udp://HOST:PORT"):
        controller(address)


class _Controller(asyncio.DatagramProtocol):
    """A controller that says the same to every request; garbage first."""

    def __init__(self, status: str) -> None:
        self.status, self.asked = status, []  # type: ignore[var-annotated]

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = its.read_srem(data)
        self.asked.append(request)
        if self.status:
            answer = Answer(request.at, request.station, request.number, request.connection, self.status)
            self.transport.sendto(b"\xff\x00", addr)
            self.transport.sendto(its.ssem(replace(answer, number=(request.number + 1) % 256), NOW, 9), addr)
            self.transport.sendto(its.ssem(answer, NOW, 9), addr)


def ask(status: str, *, value: float = 2.0) -> tuple[list[str | None], list[Request]]:
    async def run() -> tuple[list[str | None], list[Request]]:
        loop = asyncio.get_running_loop()
        transport, there = await loop.create_datagram_endpoint(lambda: _Controller(status), local_addr=("127.0.0.1", 0))
        port = transport.get_extra_info("sockname")[1]
        address = f"udp://127.0.0.1:{port}?intersection=17&region=3&station=4711"
        task = Task(
            "emergency_corridor.all.1/0", 1, NOW, "emergency_corridor.all.1", 5, address, value, NOW + 7 * MICROSECONDS
        )
        sender = V2xSender(FixedClock(NOW))
        try:
            return await sender.send([task]), there.asked
        finally:
            await sender.close()
            transport.close()

    return asyncio.run(run())


def test_a_controller_is_asked_for_the_phase_and_how_long() -> None:
    said, (request,) = ask("granted")
    assert said == [None]
    assert (request.station, request.at, request.connection) == (4711, Intersection(3, 17), 3)
    assert request.until - request.now == 7 * MICROSECONDS


def test_a_controller_that_says_no_is_on_the_record() -> None:
    assert ask("rejected")[0] == ["the controller says rejected"]


def test_a_controller_that_says_nothing_is_on_the_record() -> None:
    ((why,), _) = ask("")
    assert why is not None
    assert "did not answer within 1 s" in why


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycrate_asn1dir", None)
    monkeypatch.setitem(sys.modules, "pycrate_asn1dir.ITS_IS", None)
    with pytest.raises(ExtraMissing, match=r'pip install "civium\[v2x\]"'):
        its.prepare()
