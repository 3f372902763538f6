"""The lane into the log: answers, repeats, and what happens while the log does not answer; on a log of lists."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.core import Clock, InputRefused
from civium.core.observations import decode, unpack
from civium.engines.catalog import Catalog
from civium.engines.catalog.places import Places
from civium.engines.catalog.streams import StreamIndex
from civium.engines.log import Log, LogInDoubt, LogUnavailable
from civium.engines.tail import Message
from civium.sources import lane
from civium.sources.batch import Batch
from civium.sources.instants import read_instant
from civium.sources.intake import Intake
from civium.sources.sensorthings.observations import Reading, decode_observations, decode_reading

NOW = read_instant("2026-11-22T12:00:00Z")


class Paper:
    """A log that keeps messages in a list; ``trouble`` says what becomes of a publish."""

    shards = 1

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, bytes, Mapping[str, str]]] = []
        self.trouble: list[str] = []
        self.published = 0
        self.shared = False

    def last(self, _: str) -> int:
        return len(self.messages)

    async def publish(
        self, _: str, data: bytes, *, subject: str, key: str, headers: Mapping[str, str], timeout: float
    ) -> tuple[int, bool]:
        self.published += 1
        await asyncio.sleep(0.001)
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "away":
            raise LogUnavailable("away")
        if trouble == "unanswered":
            raise LogInDoubt("no answer")
        self.messages.append((subject, key, data, headers))
        if trouble == "answer lost":
            raise LogInDoubt("no answer")
        return len(self.messages), False

    async def holds(self, _: str, key: str, after: int) -> int | None:
        if self.trouble and self.trouble[0] == "unknown":
            self.trouble.pop(0)
            raise LogInDoubt("no answer")
        return next((n for n, m in enumerate(self.messages, 1) if m[1] == key and n > after), None)

    async def last_of(self, _: str, __: str) -> Message | None:
        keyed = [n for n, message in enumerate(self.messages, 1) if message[0].endswith(".keyed")]
        return Message(keyed[-1], "", b"", {}) if keyed else None

    def tail(self, _: str, __: int, *, subjects: Sequence[str], headers_only: bool) -> "Reader":
        assert headers_only
        assert list(subjects) == ["civium.obs0.*.keyed"]
        return Reader(self)

    def values(self) -> list[float]:
        return [value for _, _, data, _ in self.messages for value in decode(data).column("value").to_pylist()]


class Reader:
    """Reads the whole of a paper log at once."""

    def __init__(self, paper: Paper) -> None:
        self.paper, self.position = paper, 0

    async def fetch(self, _: int, __: float) -> list[Message]:
        self.position = len(self.paper.messages)
        return [Message(n, m[0], b"", m[3]) for n, m in enumerate(self.paper.messages, 1) if m[0].endswith(".keyed")]

    async def close(self) -> None:
        return None


class Desk(Intake):
    """An intake that stumbles over the result 666."""

    def _examine_readings(self, readings: Sequence[Reading]) -> Batch:
        if any(reading.said.result == 666 for reading in readings):
            raise RuntimeError("nobody thought of this")
        return super()._examine_readings(readings)


def desk(paper: Paper) -> Desk:
    row = {
        "factor": 1.0,
        "offset": 0.0,
        "nan_allowed": False,
        "observation_type": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
        "thing": 1,
        "property": 1,
        "sensor": 1,
        "access": "open",
        "personal": False,
        "si_unit": "1",
    }
    streams = StreamIndex()
    streams.extend([{**row, "id": n} for n in range(1, 10)], row)
    catalog = SimpleNamespace(streams=streams, places=Places(), next_id=lambda _: 1)
    return Desk(cast(Log, paper), cast(Catalog, catalog), cast(Clock, SimpleNamespace(now=lambda: NOW)), 60.0, 1000)


def reading(result: object, key: str = "", stream: int = 1) -> Reading:
    return decode_reading(json.dumps({"result": result}).encode(), stream, key)


def many(*results: object) -> Batch:
    body = [r if isinstance(r, dict) else {"result": r} for r in results]
    return decode_observations(json.dumps(body).encode(), 1, NOW)


def run(work: Callable[[Paper, Desk], Awaitable[None]]) -> Paper:
    paper = Paper()

    async def all_of_it() -> None:
        city = desk(paper)
        city.start()
        await work(paper, city)
        await city.stop()

    asyncio.run(asyncio.wait_for(all_of_it(), 10))
    return paper


async def outcome(coming: Awaitable[Any]) -> Any:
    try:
        return await coming
    except Exception as error:
        return error


def test_what_comes_while_a_message_is_being_stored_goes_into_the_next_and_each_has_its_own_id() -> None:
    async def work(paper: Paper, city: Desk) -> None:
        first = asyncio.ensure_future(city.post(reading(1)))
        await asyncio.sleep(0)
        rest = [city.post(reading(n)) for n in range(2, 50)]
        batch = city.accept(many(50, 51))
        ids = await asyncio.gather(first, *rest)
        assert [unpack(identity)[1:] for identity in ids][:3] == [(1, 0), (2, 0), (2, 1)]
        assert [unpack(identity)[1:] for identity in (await batch).ids.tolist()] == [(3, 0), (3, 1)]

    paper = run(work)
    assert sorted(paper.values()) == list(range(1, 52))
    assert paper.published == 3


def test_one_reading_that_is_refused_or_breaks_the_door_leaves_the_others_alone() -> None:
    async def work(paper: Paper, city: Desk) -> None:
        results = [1, "hot", 2, 666, None, 3]
        told = await asyncio.gather(*(outcome(city.post(reading(result))) for result in results))
        assert [type(one) for one in told] == [int, InputRefused, int, RuntimeError, InputRefused, int]
        assert str(told[1]) == "nothing was stored: row 0: Datastream 1 takes numbers"
        assert (city.accepted, city.refused) == (3, 2)

    assert run(work).values() == [1, 2, 3]


def test_a_repeat_gets_the_id_of_the_first_wherever_it_comes_from() -> None:
    async def work(paper: Paper, city: Desk) -> None:
        together = await asyncio.gather(*(city.post(reading(1, "a")) for _ in range(5)))
        assert len(set(together)) == 1
        later = await city.post(reading(1, "a"))
        batch = await city.accept(many({"result": 1, "idempotencyKey": "a"}, {"result": 2, "idempotencyKey": "b"}, 3))
        assert (batch.ids[0], batch.repeated) == (later, 1)
        assert later == together[0]
        assert await city.post(reading(2, "b")) == batch.ids[1]
        assert await city.post(reading(1, "a", stream=2)) != later  # a key counts for its stream

    assert sorted(run(work).values()) == [1, 1, 2, 3]


def test_another_reading_under_a_used_key_is_refused_and_not_swallowed() -> None:
    async def work(paper: Paper, city: Desk) -> None:
        told = await asyncio.gather(outcome(city.post(reading(1, "a"))), outcome(city.post(reading(2, "a"))))
        assert isinstance(told[1], InputRefused)
        assert told[1].status == 409
        single = await outcome(city.post(reading(3, "a")))
        assert (single.status, "idempotency key" in str(single)) == (409, True)
        kept = await city.accept(many({"result": 4, "idempotencyKey": "a"}, 5), whole=False)
        assert [refusal.row for refusal in kept.refused] == [0]
        whole = await outcome(city.accept(many({"result": 4, "idempotencyKey": "a"}, 6)))
        assert whole.status == 409

    assert run(work).values() == [1, 5]


@pytest.mark.parametrize("trouble", ["unanswered", "answer lost"])
def test_a_lost_answer_shuts_the_door_until_it_is_known_and_a_repeat_finds_what_was_stored(trouble: str) -> None:
    async def work(paper: Paper, city: Desk) -> None:
        paper.trouble = [trouble, "unknown", "unknown"]
        first = asyncio.ensure_future(outcome(city.post(reading(1, "a"))))
        await asyncio.sleep(0)
        behind = asyncio.ensure_future(outcome(city.post(reading(2))))
        turned_away = await behind
        assert isinstance(turned_away, LogUnavailable)
        assert not isinstance(turned_away, LogInDoubt)  # nothing of it was sent
        assert isinstance(await outcome(city.accept(many(3))), LogUnavailable)
        assert unpack(await first)[1:] == (1, 0)
        assert await city.post(reading(1, "a")) == await first
        await city.post(reading(2))

    assert run(work).values() == [1, 2]


def test_who_is_in_doubt_for_long_is_told_so_and_a_repeat_finds_what_was_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(paper: Paper, city: Desk) -> None:
        monkeypatch.setattr(lane, "_LONGEST_S", 0.05)
        paper.trouble = ["answer lost", "unknown", "unknown", "unknown"]
        assert isinstance(await outcome(city.post(reading(1, "a"))), LogInDoubt)
        while isinstance(again := await outcome(city.post(reading(1, "a"))), LogUnavailable):
            await asyncio.sleep(0.02)
        assert unpack(again)[1:] == (1, 0)

    assert run(work).values() == [1]


def test_what_the_log_refused_is_not_stored_and_may_come_again() -> None:
    async def work(paper: Paper, city: Desk) -> None:
        paper.trouble = ["away", "away"]
        assert isinstance(await outcome(city.post(reading(1, "a"))), LogUnavailable)
        assert isinstance(await outcome(city.accept(many(2), key="k", content=b"2")), LogUnavailable)
        await city.post(reading(1, "a"))
        await city.accept(many(2), key="k", content=b"2")

    assert run(work).values() == [1, 2]


def test_a_large_request_that_failed_midway_is_completed_by_its_repeat() -> None:
    async def work(paper: Paper, city: Desk) -> None:
        values = list(range(150_000))
        paper.trouble = ["", "away"]
        assert isinstance(await outcome(city.accept(many(*values), key="k", content=b"all")), LogUnavailable)
        stored = len(paper.values())
        assert 0 < stored < len(values)
        receipt = await city.accept(many(*values), key="k", content=b"all")
        assert receipt.repeated == stored
        by_id = {
            (sequence, row): value
            for sequence, (_, _, data, _) in enumerate(paper.messages, 1)
            for row, value in enumerate(decode(data).column("value").to_pylist())
        }
        assert [by_id[unpack(identity)[1:]] for identity in receipt.ids.tolist()] == values
        assert (await outcome(city.accept(many(1), key="k", content=b"other"))).status == 409

    assert sorted(run(work).values()) == list(range(150_000))


def test_keys_are_read_again_from_the_log_after_a_restart() -> None:
    async def work(paper: Paper, city: Desk) -> None:
        single, receipt = await city.post(reading(1, "a")), await city.accept(many(2, 3), key="k", content=b"two")
        reborn = desk(paper)
        reborn.start()
        assert await reborn.post(reading(1, "a")) == single
        again = await reborn.accept(many(2, 3), key="k", content=b"two")
        assert (again.ids.tolist(), again.repeated) == (receipt.ids.tolist(), 2)

    assert run(work).values() == [1, 2, 3]


@settings(max_examples=40)
@given(st.data())
def test_every_reading_is_stored_once_whatever_the_log_does(data: st.DataObject) -> None:
    troubles = st.sampled_from(["", "", "away", "unanswered", "answer lost", "unknown"])

    async def work(paper: Paper, city: Desk) -> None:
        paper.trouble = data.draw(st.lists(troubles, max_size=12))

        async def device(n: int) -> tuple[int, int]:
            while True:
                try:
                    return n, await city.post(reading(n, f"k{n}"))
                except LogUnavailable:
                    await asyncio.sleep(0.01)

        stored = dict(await asyncio.gather(*(device(n) for n in range(data.draw(st.integers(1, 30))))))
        places = {n: unpack(identity)[1:] for n, identity in stored.items()}
        assert {n: decode(paper.messages[s - 1][2]).column("value")[row].as_py() for n, (s, row) in places.items()} == {
            n: n for n in places
        }
        assert sorted(paper.values()) == sorted(places)

    run(work)
