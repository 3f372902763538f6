"""The ledger as tables that can be asked: a projection of the log stream LEDGER, made anew whenever it is missing."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    create_engine,
    event,
    func,
    insert,
    or_,
    select,
    update,
)

from civium.core import Tier, to_datetime

_OVER = ("overridden", "released", "lapsed")
VERSION = 3  # of the tables; a file of another version is made anew from the log
METADATA = MetaData()
DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", String, primary_key=True),
    Column("seq", Integer, nullable=False, unique=True),
    Column("practice", String, nullable=False),
    Column("shard", String, nullable=False),
    Column("tick", BigInteger, nullable=False),
    Column("mandate", String, nullable=False),
    Column("commands", Integer, nullable=False),
    Column("estimates", Integer, nullable=False),
    Column("notices", Integer, nullable=False),
    Column("because", String, nullable=False),
    Column("view_ms", Integer, nullable=False),
    Column("decide_ms", Integer, nullable=False),
    Index("decisions_of_practice", "practice", "tick"),
    Index("decisions_at", "tick"),
)
# One row a wish, of a practice or of a person; ``id`` counts them in the order of the record, so that it is the same
# wherever the record is folded.
COMMANDS = Table(
    "commands",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("decision", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("practice", String, nullable=False),
    Column("who", String, nullable=False),  # the person, or the practice
    Column("actuator", Integer, nullable=False),
    Column("value", String, nullable=False),
    Column("tier", Integer, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("wish", String, nullable=False),  # JSON: the parameters of the task
    Column("status", String, nullable=False),  # what the record says last of it; since when, and why
    Column("status_at", BigInteger, nullable=False),
    Column("why", String),
    Column("history", String, nullable=False),  # JSON: all that became of it, in order
    UniqueConstraint("decision", "number"),
    Index("commands_open", "status", "until"),
    Index("commands_of_actuator", "actuator"),
)
EVENTS = Table(
    "events",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("decision", String, nullable=False, index=True),
    Column("command", Integer, nullable=False),
    Column("what", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", String, nullable=False),
    Column("why", String, nullable=False),
    Column("observation", BigInteger),
)
NOTICES = Table(
    "notices",
    METADATA,
    Column("decision", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("practice", String, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("audience", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("key", String, nullable=False),
    Column("values", String, nullable=False),
    Column("about", Integer),
)
INCIDENTS = Table(
    "incidents",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("practice", String, nullable=False, index=True),
    Column("shard", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("what", String, nullable=False),  # held, broken or resumed
    Column("why", String, nullable=False),
)
POSITIONS = Table(
    "positions", METADATA, Column("name", String, primary_key=True), Column("seq", Integer, nullable=False)
)


def decides(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of the record is a decision: a practice's turn, or a person's wish."""
    return entry["type"] in ("turn", "wish")


class Projection:
    """The tables, and how far they and the outbox have come in the log."""

    def __init__(self, path: Path) -> None:
        self.engine = create_engine(
            f"sqlite:///{path}", connect_args={"check_same_thread": False}, hide_parameters=True
        )
        event.listen(self.engine, "connect", _prepare)
        with self.engine.begin() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar()
            if version != VERSION:
                METADATA.drop_all(connection, tables=[table for table in METADATA.sorted_tables if table != POSITIONS])
                connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
            METADATA.create_all(connection)
            if version != VERSION:  # the entries are folded again; what the outbox has carried out stays so
                _move(connection, "LEDGER", 0)
        self.applied = self.position("LEDGER")

    def close(self) -> None:
        self.engine.dispose()

    def save(self, path: Path) -> None:
        """Write the tables as they are now to the new SQLite file ``path``, while they are in use."""
        with closing(self.engine.raw_connection()) as connection:
            connection.cursor().execute("VACUUM INTO ?", (str(path),))

    def position(self, name: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.scalar(select(POSITIONS.c.seq).where(POSITIONS.c.name == name)) or 0)

    def fold(self, seq: int, entry: Mapping[str, Any]) -> None:
        """Take in one entry of the ledger; once, however often it is offered."""
        if seq <= self.applied:
            return
        with self.engine.begin() as connection:
            if decides(entry):
                _fold_decision(connection, seq, entry)
            elif entry["type"] in ("held", "broken", "resumed"):
                row = {
                    "seq": seq,
                    "practice": entry["practice"],
                    "shard": entry.get("shard", "all"),
                    "at": entry["at"],
                    "what": entry["type"],
                    "why": entry["why"],
                }
                connection.execute(insert(INCIDENTS), row)
            _fold_events(connection, seq, entry.get("events", ()))
            _move(connection, "LEDGER", seq)
        self.applied = seq

    def rows(self, query: Any) -> list[dict[str, Any]]:
        """The rows of a select, as mappings."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def sequence(self, decision: str) -> int | None:
        """The entry of a decision; None when it is not on the record."""
        with self.engine.connect() as connection:
            return connection.scalar(select(DECISIONS.c.seq).where(DECISIONS.c.id == decision))

    def carried_out(self, decisions: Iterable[str]) -> set[tuple[str, int]]:
        """Decision and number of the commands of which the record says that they were sent, or could not be."""
        query = select(EVENTS.c.decision, EVENTS.c.command).where(
            EVENTS.c.decision.in_(sorted(set(decisions))), EVENTS.c.what.in_(("sent", "failed"))
        )
        with self.engine.connect() as connection:
            return {(str(decision), int(number)) for decision, number in connection.execute(query)}

    def task(self, decision: str, number: int) -> int | None:
        """The id of a command; None when there is no such command."""
        query = select(COMMANDS.c.id).where(COMMANDS.c.decision == decision, COMMANDS.c.number == number)
        with self.engine.connect() as connection:
            return connection.scalar(query)

    def tasks(self, decisions: Iterable[str]) -> dict[tuple[str, int], int]:
        """The ids of the commands of some decisions, by decision and number."""
        query = select(COMMANDS.c.decision, COMMANDS.c.number, COMMANDS.c.id).where(
            COMMANDS.c.decision.in_(sorted(set(decisions)))
        )
        with self.engine.connect() as connection:
            return {(str(decision), int(number)): int(task) for decision, number, task in connection.execute(query)}

    def status(self, decision: str, number: int) -> str | None:
        """What the record says last of a command; None when there is no such command."""
        query = select(COMMANDS.c.status).where(COMMANDS.c.decision == decision, COMMANDS.c.number == number)
        with self.engine.connect() as connection:
            return connection.scalar(query)

    def counts(self, practice: str) -> dict[str, int]:
        """How many commands of a practice stand in each status."""
        query = (
            select(COMMANDS.c.status, func.count()).where(COMMANDS.c.practice == practice).group_by(COMMANDS.c.status)
        )
        with self.engine.connect() as connection:
            return {str(status): int(count) for status, count in connection.execute(query)}


def _fold_decision(connection: Any, seq: int, entry: Mapping[str, Any]) -> None:
    plan = entry["plan"]
    timing = entry.get("timing", {})
    connection.execute(
        insert(DECISIONS),
        {
            "id": entry["id"],
            "seq": seq,
            "practice": entry["practice"],
            "shard": entry.get("shard", "all"),
            "tick": entry["tick"],
            "mandate": entry["mandate"],
            "commands": len(plan["commands"]),
            "estimates": len(plan["estimates"]),
            "notices": len(plan["notices"]),
            "because": plan["because"],
            "view_ms": round(timing.get("view_ms", 0)),
            "decide_ms": round(timing.get("decide_ms", 0)),
        },
    )
    if plan["commands"]:
        rows = [
            {
                "decision": entry["id"],
                "number": number,
                "practice": entry["practice"],
                "who": entry.get("who", entry["practice"]),
                "actuator": command["actuator"],
                "value": str(command["value"]),
                "tier": command["tier"],
                "until": command["until"],
                "created": entry["tick"],
                "wish": _wish(command, entry.get("parameters")),
                "status": "",
                "status_at": entry["tick"],
                "history": "[]",
            }
            for number, command in enumerate(plan["commands"])
        ]
        connection.execute(insert(COMMANDS), rows)
    if plan["notices"]:
        rows = [
            {
                "decision": entry["id"],
                "number": number,
                "practice": entry["practice"],
                "at": entry["tick"],
                "audience": notice["audience"],
                "severity": notice["severity"],
                "key": notice["key"],
                "values": notice["text"],
                "about": notice["about"],
            }
            for number, notice in enumerate(plan["notices"])
        ]
        connection.execute(insert(NOTICES), rows)


def _fold_events(connection: Any, seq: int, events: Sequence[Mapping[str, Any]]) -> None:
    if not events:
        return
    connection.execute(insert(EVENTS), [{"seq": seq, **e} for e in events])
    over = and_(or_(*(COMMANDS.c.status == status for status in _OVER)), bindparam("later", type_=Boolean))
    change = (
        update(COMMANDS)
        .where(COMMANDS.c.decision == bindparam("d"), COMMANDS.c.number == bindparam("n"))
        .values(
            # What has given its actuator up stays so, although the outbox tells later that it was sent.
            status=case((over, COMMANDS.c.status), else_=bindparam("s")),
            status_at=case((over, COMMANDS.c.status_at), else_=bindparam("t")),
            why=case((over, COMMANDS.c.why), else_=bindparam("y")),
            history=func.json_insert(COMMANDS.c.history, "$[#]", func.json(bindparam("h"))),
        )
    )
    told = [
        {
            "d": e["decision"],
            "n": e["command"],
            "s": e["what"],
            "t": e["at"],
            "y": e["why"] or None,
            "h": _told(e),
            "later": e["what"] not in _OVER,
        }
        for e in events
    ]
    connection.execute(change, told)


def _wish(command: Mapping[str, Any], parameters: Mapping[str, Any] | None) -> str:
    """What a Task tells of its parameters: those of its capability, or the value."""
    own = {"value": command["value"]} if parameters is None else parameters
    wish = {**own, "until": _instant(command["until"]), "tier": Tier(command["tier"]).name.lower()}
    if command["because"]:
        wish["because"] = command["because"]
    return msgspec.json.encode(wish).decode()


def _told(event: Mapping[str, Any]) -> str:
    told = {"status": event["what"], "time": _instant(event["at"]), "who": event["who"]}
    if event["why"]:
        told["reason"] = event["why"]
    if event["observation"]:
        told["observation"] = event["observation"]
    return msgspec.json.encode(told).decode()


def _instant(instant: int) -> str:
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


def _move(connection: Any, name: str, seq: int) -> None:
    if connection.execute(update(POSITIONS).where(POSITIONS.c.name == name).values(seq=seq)).rowcount == 0:
        connection.execute(insert(POSITIONS), {"name": name, "seq": seq})


def _prepare(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
