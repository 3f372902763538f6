"""What is appended is on the record once, also when an earlier try was stored although it failed; on a real log."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError

from civium.acts.outbox import Outbox
from civium.acts.task import Task
from civium.core.clock import FixedClock
from civium.engines.catalog import Catalog
from civium.engines.catalog.tables import ACTUATORS, THINGS
from civium.engines.log import Log, LogInDoubt
from civium.engines.settings import Doors, Settings
from civium.ledger.projection import EVENTS
from civium.ledger.record import Ledger

NOW = 1_700_000_000_000_000
COMMAND = {"actuator": 1, "value": 50.0, "tier": 2, "until": NOW + 60_000_000, "because": ""}
TURN: dict[str, Any] = {
    "type": "turn", "id": "d", "practice": "p", "tick": NOW, "mandate": "act",
    "plan": {"commands": [COMMAND], "estimates": [], "notices": [], "because": ""},
    "events": [{"decision": "d", "command": 0, "what": "admitted", "at": NOW, "who": "guard", "why": "",
                "observation": None}],
    "timing": {"view_ms": 0.0, "decide_ms": 0.0},
}  # fmt: skip


class Lamp:
    """A device that remembers the tasks that it was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, tasks: list[Task]) -> list[str | None]:
        self.sent += [task.id for task in tasks]
        return [None for _ in tasks]

    async def close(self) -> None:
        """Nothing to close."""


def answer_is_lost(ledger: Ledger, log: Log, patch: pytest.MonkeyPatch) -> None:
    """The log stores the entry that comes next; nobody hears of it."""
    publish = log.publish

    async def deaf(*args: Any, **options: Any) -> tuple[int, bool]:
        await publish(*args, **options)
        patch.setattr(log, "publish", publish)
        raise LogInDoubt("the log did not answer")

    patch.setattr(log, "publish", deaf)


def tables_are_full(ledger: Ledger, log: Log, patch: pytest.MonkeyPatch) -> None:
    """The log stores the entry that comes next; the tables have no room for it."""
    fold = ledger.projection.fold

    def full(*args: Any) -> None:
        patch.setattr(ledger.projection, "fold", fold)
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    patch.setattr(ledger.projection, "fold", full)


@pytest.mark.parametrize("goes_wrong", [answer_is_lost, tables_are_full])
def test_what_was_sent_is_told_once(
    goes_wrong: Callable[[Ledger, Log, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(_send_in_trouble(goes_wrong, tmp_path, monkeypatch))


async def _send_in_trouble(goes_wrong: Callable[..., None], folder: Path, patch: pytest.MonkeyPatch) -> None:
    log = await Log.open(Settings(doors=Doors(mqtt="127.0.0.1:0")), folder)
    catalog = Catalog.open(f"sqlite:///{folder / 'catalog.db'}")
    with catalog.engine.begin() as connection:
        connection.execute(insert(THINGS), {"id": 1, "key": "lamp", "name": "lamp", "kind": "lamp", "seq": 1})
        about = {"key": "dimmer", "thing": 1, "name": "dimmer", "kind": "dimmer", "protocol": "lamp", "address": "1"}
        connection.execute(insert(ACTUATORS), {"id": 1, **about, "seq": 1})
    ledger, lamp = await Ledger.open(log, folder), Lamp()

    async def no_estimates(*_: Any) -> None:
        raise AssertionError("the decision made no estimates")

    outbox = Outbox(log, ledger, catalog, FixedClock(NOW), {"lamp": lamp}, no_estimates)
    await outbox.start()
    try:
        await ledger.append(TURN)
        goes_wrong(ledger, log, patch)
        async with asyncio.timeout(20):
            await outbox.reach(1)
        await ledger.catch_up()
        told = Counter((e["what"]) for e in ledger.projection.rows(select(EVENTS)))
        assert told == {"admitted": 1, "sent": 1}
        assert lamp.sent == ["d/0", "d/0"]  # offered again under the same id
    finally:
        await outbox.stop()
        await ledger.close()
        catalog.close()
        await log.close()
