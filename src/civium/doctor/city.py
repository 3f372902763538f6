"""The doctor asks the city: its clock, log, store, tables, dead letters, record, practices and troubles."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from civium.client import CityClient
from civium.doctor.finding import Finding, State, judged
from civium.ledger.record import LedgerBroken
from civium.ledger.replay import check_chain

_MANY_FILES = 500  # a point read costs 16 ms at 200 files and 152 ms at 2,500
_MANY_BEHIND = 100  # log messages
_MANY_REFUSALS = 50  # of tokens and requests, in an hour
_SILENT_S = 10.0
_SHOWN_LETTERS = 3
_STALE_TURNS = 10  # a practice that has not decided for so many of its turns
_RESTART = "stop the city and start it again; if it stays, look at the troubles and at log/nats.log"


def findings(client: CityClient, *, running: bool) -> Iterator[Finding]:
    """Ask everything, one after the other."""
    status, told = client.get("/api/status"), client.get("/api/checkup")
    yield _clock(status, running=running)
    yield from _log(status, told)
    yield _store(status, told["store"])
    yield from _tables(told)
    yield from _letters(client, told["letters"])
    yield _record(client)
    yield _blobs(told["blobs"])
    yield _refusals(status["refusals"])
    for name, trouble in status["troubles"].items():
        yield Finding(name, State.BAD, trouble, "it goes on trying; if this stays, stop the city and start it again")
    for name, source in status["sources"].items():
        yield _source(name, source)
    for practice in client.get("/api/practices"):
        yield _practice(practice, status, running=running)


def _clock(status: dict[str, Any], *, running: bool) -> Finding:
    last = status["last_tick"]
    said = f"last tick {last or 'never'}, kept by the {status['clock']}"
    if not last or status["clock"] != "wall":
        late = running and status["clock"] == "wall" and status["up_s"] > _SILENT_S
        return judged("clock", said, bad="no turn is made: look at the troubles below" if late else "")
    late_s = (datetime.now(UTC) - datetime.fromisoformat(last)).total_seconds()
    if late_s < -_SILENT_S:
        said += f", which is {-late_s:,.0f} s ahead of this machine: its clock was set back"
        do = "set the machine's clock right; until it has caught up, the city's time stands still"
        return Finding("clock", State.BAD, said, do)
    silent = running and status["up_s"] > _SILENT_S and late_s > _SILENT_S
    do = "no turn is made: look at the troubles below, or start the city again"
    return judged("clock", said, bad=do if silent else "")


def _log(status: dict[str, Any], told: dict[str, Any]) -> Iterator[Finding]:
    sizes = "; ".join(
        f"{name} {stream['messages']:,} messages, {stream['bytes'] / 1e6:,.1f} MB"
        for name, stream in sorted(told["streams"].items())
    )
    restarts = status["log"]["restarts"]
    look = "see log/nats.log" if restarts else ""
    yield judged("log", f"{sizes}; its server was started again {restarts} times", look=look)
    for name, applied in told["store"]["applied"].items():
        last = told["streams"][name]["last_seq"]
        behind = last - applied > _MANY_BEHIND
        do = "the store falls behind: look at the trouble 'writer' and at the disk" if behind else ""
        yield judged(f"log {name}", f"{last:,} messages, the store has {applied:,}", bad=do)


def _store(status: dict[str, Any], store: dict[str, Any]) -> Finding:
    said = (
        f"{status['observations']:,} observations in {store['files']:,} files ({store['small']:,} of them small), "
        f"{store['bytes'] / 1e6:,.1f} MB"
    )
    look = "look at store.maintain_every_s: small files are merged by then" if store["files"] > _MANY_FILES else ""
    if store["orphans"]:
        said += f"; {store['orphans']:,} files with {store['orphan_bytes'] / 1e6:,.1f} MB that no table names"
        look = look or "they are of commits that a kill broke off, and only take room; a restored backup has none"
    return judged("store", said, look=look)


def _tables(told: dict[str, Any]) -> Iterator[Finding]:
    for what, stream in (("catalogue", "CAT"), ("record", "LEDGER")):
        last, applied = told["streams"][stream]["last_seq"], told[what]["applied"]
        do = f"its tables fall behind the log: {_RESTART}" if last - applied > _MANY_BEHIND else ""
        yield judged(f"tables of the {what}", f"folded up to {applied:,} of {last:,}", bad=do)


def _letters(client: CityClient, counts: dict[str, int]) -> Iterator[Finding]:
    if not any(counts.values()):
        yield judged("dead letters", "none")
        return
    shown = client.get("/api/dead-letters", limit=_SHOWN_LETTERS)
    last = "; ".join(f"{letter['topic']}: {letter['why']}" for letter in shown)
    if counts["DEAD"]:
        do = "correct the devices or register the streams, then: civium letters --retry"
        yield judged("dead letters", f"{counts['DEAD']:,}, the last: {last}", look=do)
    if counts["POISON"]:
        do = "these were accepted and are not in the history: report it, and after a fix: civium letters --retry"
        yield judged("poison", f"{counts['POISON']:,} log messages could not be folded: {last}", bad=do)


def _record(client: CityClient) -> Finding:
    count = 0
    try:
        for _ in check_chain(client.ledger()):
            count += 1
    except LedgerBroken as error:
        do = "the record was altered or is cut off: keep the folder, find out who"
        return Finding("ledger", State.BAD, str(error), do)
    return judged("ledger", f"{count:,} entries in an unbroken chain")


def _blobs(blobs: dict[str, Any]) -> Finding:
    if blobs["missing_count"]:
        said = f"{blobs['missing_count']:,} states of the last decisions are missing, such as {blobs['missing'][0]}"
        return Finding(
            "states", State.BAD, said, "these decisions cannot be replayed; restore a backup beside, and compare"
        )
    return judged("states", f"{blobs['wanted']:,} of the last decisions, all there")


def _refusals(told: dict[str, Any]) -> Finding:
    many = told["last_hour"] > _MANY_REFUSALS
    do = "somebody tries tokens, or a device has an old one: civium audit says from where" if many else ""
    said = f"{told['last_hour']:,} in the last hour" + (f", {told['most']}" if told["most"] else "")
    return judged("refused callers", said, look=do)


def _source(name: str, source: dict[str, Any]) -> Finding:
    counts = f"{source['accepted']:,} readings, {source['refused']:,} refused"
    said = f"{source['kind']}: {counts}, last {source['last'] or 'never'}"
    do = f"look at [sources.{name}] in civium.toml, or at the system that it comes from" if source["trouble"] else ""
    do = do or (f"see civium letters --topic sources/{name}" if source["refused"] else "")
    return judged(f"source {name}", f"{said}; {source['trouble']}" if source["trouble"] else said, look=do)


def _practice(practice: dict[str, Any], status: dict[str, Any], *, running: bool) -> Finding:
    what = f"practice {practice['id']}"
    if practice["trouble"]:
        return Finding(what, State.LOOK, practice["trouble"], "its owner must look")
    last = practice.get("last")
    said = f"{practice.get('decisions', 0):,} decisions, the last {last or 'never'}"
    if running and last and status["clock"] == "wall":
        silent = (datetime.now(UTC) - datetime.fromisoformat(last)).total_seconds()
        if silent > max(practice["every_s"] * _STALE_TURNS, _SILENT_S):
            return Finding(what, State.LOOK, f"{said}: it has gone silent", "look at the troubles, and at its inputs")
    return judged(what, said)
