"""Two doors of one shared log: a key that comes to both at once is stored once; who lost its lease stores nothing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from civium.core.observations import decode
from civium.engines.log import LogConflict, LogInDoubt, LogUnavailable
from civium.engines.tail import Message
from civium.sources.lane import NO_SPANS
from tests.sources.test_lane import Desk, Paper, Reader, desk, many, outcome, reading


class SharedPaper(Paper):
    """Paper on which several write; it knows what they expect to be the last message with keys."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = True
        self.overtaken = 0

    async def publish(
        self,
        _: str,
        data: bytes,
        *,
        subject: str,
        key: str,
        headers: Mapping[str, str],
        timeout: float,
        expect_last: int = 0,
        expect_of: str = "",
    ) -> tuple[int, bool]:
        self.published += 1
        await asyncio.sleep(0.001)
        assert bool(expect_of) == subject.endswith(".keyed")
        if expect_of:
            keyed = [n for n, message in enumerate(self.messages, 1) if message[0].endswith(".keyed")]
            if (keyed[-1] if keyed else 0) != expect_last:
                self.overtaken += 1
                raise LogConflict("overtaken")
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "unanswered":
            raise LogInDoubt("no answer")
        self.messages.append((subject, key, data, headers))
        if trouble == "answer lost":
            raise LogInDoubt("no answer")
        return len(self.messages), False

    def tail(self, _: str, __: int, *, subjects: Sequence[str], headers_only: bool) -> Reader:
        return SlowReader(self)


class SlowReader(Reader):
    """Reads what is new, some moments later."""

    async def fetch(self, _: int, __: float) -> list[Message]:
        await asyncio.sleep(0.003)
        begin, self.position = self.position, len(self.paper.messages)
        new = list(enumerate(self.paper.messages, 1))[begin:]
        return [Message(n, f"civium.obs0.{m[0]}", b"", m[3]) for n, m in new if m[0].endswith(".keyed")]


def run(work: Callable[[SharedPaper, Desk, Desk], Awaitable[None]]) -> SharedPaper:
    paper = SharedPaper()

    async def all_of_it() -> None:
        doors = desk(paper), desk(paper)
        for door in doors:
            door.start()
        await work(paper, *doors)
        for door in doors:
            await door.stop()

    asyncio.run(asyncio.wait_for(all_of_it(), 60))
    return paper


async def persistently(send: Callable[[], Awaitable[int]]) -> int:
    """As a device does that has a key: until it has an answer."""
    while True:
        try:
            return await send()
        except LogUnavailable:
            await asyncio.sleep(0.005)


def test_a_reading_that_comes_to_two_doors_at_once_is_stored_once_and_has_one_id() -> None:
    async def work(paper: SharedPaper, one: Desk, other: Desk) -> None:
        for n in range(40):
            ids = await asyncio.gather(
                *(persistently(lambda door=door, n=n: door.post(reading(n, f"key {n}"))) for door in (one, other))
            )
            assert ids[0] == ids[1]

    paper = run(work)
    assert Counter(paper.values()) == Counter(range(40))
    assert paper.overtaken > 0


def test_a_request_that_comes_to_two_doors_at_once_is_stored_once() -> None:
    async def work(paper: SharedPaper, one: Desk, other: Desk) -> None:
        async def send(door: Desk, n: int) -> int:
            receipt = await door.accept(many(n, n + 1, n + 2), key=f"request {n}", content=b"it")
            return int(receipt.ids[0])

        for n in range(0, 60, 3):
            ids = await asyncio.gather(*(persistently(lambda door=door, n=n: send(door, n)) for door in (one, other)))
            assert ids[0] == ids[1]

    assert Counter(run(work).values()) == Counter(range(60))


def test_different_keys_at_two_doors_are_all_stored_and_nobody_is_sent_away() -> None:
    async def work(paper: SharedPaper, one: Desk, other: Desk) -> None:
        async def posts(door: Desk, start: int) -> None:
            for n in range(start, start + 50):
                await door.post(reading(n, f"key {n}"))

        await asyncio.gather(posts(one, 0), posts(other, 50))

    assert Counter(run(work).values()) == Counter(range(100))


def test_an_answer_that_was_lost_is_found_although_another_door_stored_something_since() -> None:
    async def work(paper: SharedPaper, one: Desk, other: Desk) -> None:
        paper.trouble = ["answer lost"]
        first = asyncio.ensure_future(one.post(reading(1, "a")))
        await asyncio.sleep(0.02)
        await asyncio.gather(first, persistently(lambda: other.post(reading(2, "b"))))

    assert Counter(run(work).values()) == Counter([1, 2])


def test_a_message_in_doubt_whose_key_another_door_stored_meanwhile_does_not_shut_the_lane() -> None:
    async def work(paper: SharedPaper, one: Desk, other: Desk) -> None:
        paper.trouble = ["unanswered"]
        first = asyncio.ensure_future(outcome(one.post(reading(1, "a"))))
        while paper.trouble:
            await asyncio.sleep(0.001)
        stored = await persistently(lambda: other.post(reading(1, "a")))
        assert isinstance(await first, LogInDoubt)
        assert await persistently(lambda: one.post(reading(1, "a"))) == stored
        assert isinstance(await one.post(reading(2)), int)

    assert Counter(run(work).values()) == Counter([1, 2])


def test_who_slept_through_the_end_of_its_lease_stores_nothing_that_its_successor_took() -> None:
    async def work(paper: SharedPaper, sleeper: Desk, successor: Desk) -> None:
        await asyncio.gather(sleeper.remembers(), successor.remembers())
        table = successor._examine_readings([reading(7)]).table
        lanes = sleeper.lanes[0], successor.lanes[0]
        before = await lanes[0].store_marked(table, NO_SPANS, "mqtt", "mail 1", {}, 0)
        await lanes[1].store_marked(table, NO_SPANS, "mqtt", "mail 2 to 4", {}, before)
        with pytest.raises(LogConflict):
            await lanes[0].store_marked(table, NO_SPANS, "mqtt", "mail 2", {}, before)
        assert isinstance(await outcome(sleeper.post(reading(8))), int)  # it goes on for whom it may

    paper = run(work)
    assert [key for _, key, _, _ in paper.messages][:2] == ["mail 1", "mail 2 to 4"]
    assert [decode(data).column("value").to_pylist() for _, _, data, _ in paper.messages] == [[7], [7], [8]]
