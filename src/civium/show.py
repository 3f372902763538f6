"""What the command line shows: tables, words and progress, with rich."""

import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from civium.backtest import backtest
from civium.bench.score import Score, Settings
from civium.check.report import run_checks
from civium.client import CityClient
from civium.core import MICROSECONDS, InputRefused, from_datetime, to_datetime
from civium.core.extras import require
from civium.ledger.projection import decides
from civium.ledger.record import LedgerBroken
from civium.ledger.replay import check_chain, replay
from civium.practices.discovery import load_practices, package_of
from civium.turn import code_of, decide_on
from civium.twin.model import build_twin

console = Console()


def show_status(status: dict[str, Any], practices: list[dict[str, Any]]) -> None:
    """The city and its practices."""
    table = Table(title=f"{status['name']}: {status['now']}", show_header=False)
    for name in ("streams", "streams_heard", "observations", "accepted", "refused", "dead_letters", "memory_mb"):
        table.add_row(name.replace("_", " "), f"{status[name]:,}")
    table.add_row("things", ", ".join(f"{count:,} {kind}" for kind, count in status["things"].items()) or "none")
    table.add_row("switch", "[red]the whole city only advises[/red]" if status["advise_only"] else "mandates count")
    for name, source in status["sources"].items():
        told = f"{source['accepted']:,} readings, {source['refused']:,} refused, last {source['last'] or 'never'}"
        table.add_row(f"source {name}", escape(f"{told}; {source['trouble']}" if source["trouble"] else told))
    for name, trouble in status["troubles"].items():
        table.add_row(f"[red]{name}[/red]", trouble)
    console.print(table)
    show_practices(practices)


def show_practices(practices: list[dict[str, Any]]) -> None:
    """Practices with their mandates and what became of their commands."""
    table = Table("practice", "mandate", "decisions", "last", "commands", "trouble")
    for row in practices:
        commands = ", ".join(f"{count} {what}" for what, count in row.get("commands", {}).items())
        table.add_row(
            row["id"],
            row.get("mandate", ""),
            str(row.get("decisions", "")),
            row.get("last") or "",
            commands,
            row["trouble"],
        )
    console.print(table)


def show_words(words: list[str]) -> None:
    """Sentences, one a line."""
    for line in words:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def run_replay(client: CityClient, start: str | None, end: str | None, practice: str) -> int:
    """Replay what the ledger holds between two instants; prints each decision that is not identical. Exit code."""
    first = _instant(start) if start else 0
    last = _instant(end) if end else 2**62
    counts = {"identical": 0, "different": 0, "not replayable": 0, "explained": 0}
    try:
        entries = [entry for _, entry in check_chain(client.ledger())]
    except LedgerBroken as error:
        console.print(f"[red]{error}[/red]")
        return 1
    chosen = [e for e in entries if decides(e) and first <= e["tick"] <= last and practice in ("", e["practice"])]
    with Progress(console=console, transient=True) as progress:
        for entry in progress.track(chosen, description="replaying"):
            verdict = replay(entry, client, decide_on, code_of)
            counts[verdict.outcome] += 1
            if verdict.outcome != "identical":
                progress.console.print(f"{verdict.decision}: {verdict.outcome}: {verdict.why}")
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "identical")
    console.print(f"{len(entries)} ledger entries in an unbroken chain; {len(chosen)} decisions: {told}")
    return 1 if counts["different"] else 2 if counts["not replayable"] else 0


def run_backtest(
    client: CityClient,
    practice: str,
    start: str | None,
    end: str | None,
    what_if: Sequence[str] = (),
    *,
    lines: bool = False,
) -> None:
    """Walk the past (default: the last hour of the city's clock) and say what the practice would have done.

    A column for the parameters in force and one for each JSON object of ``what_if``. With ``lines`` for a program: a
    JSON object a line, the share that is done and at last the results.
    """
    now = from_datetime(datetime.fromisoformat(client.get("/api/status")["now"]))
    last = _instant(end) if end else now
    first = _instant(start) if start else last - 3600 * MICROSECONDS
    if first >= last:
        raise InputRefused("the backtest would end before it begins; look at --from and --to")
    try:
        variants = [msgspec.json.decode(text, type=dict[str, Any]) for text in what_if]
    except msgspec.MsgspecError as error:
        raise InputRefused(f"--what-if takes parameters as a JSON object: {error}") from None
    if lines:

        def say(share: float) -> None:
            print(json.dumps({"share": share}), flush=True)  # noqa: T201 (--json)

        results = [asdict(one) for one in backtest(client, practice, first, last, say, variants)]
        print(json.dumps({"share": 1.0, "results": results}), flush=True)  # noqa: T201 (--json)
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"backtest of {practice}", total=1.0)
        done = backtest(client, practice, first, last, lambda share: progress.update(task, completed=share), variants)
    table = Table(title=f"{practice} from {to_datetime(first).isoformat()} to {to_datetime(last).isoformat()}")
    for heading in ("", "as it is", *what_if):
        table.add_column(heading)
    table.add_row("ticks", *(f"{one.ticks} ({one.held} held: an input was missing or stale)" for one in done))
    table.add_row("decisions", *(str(one.decided) for one in done))
    table.add_row("commands it would have wished for", *(str(one.commands) for one in done))
    table.add_row("wishes that changed", *(str(one.changes) for one in done))
    table.add_row("estimates", *(str(one.estimates) for one in done))
    for key in sorted({key for one in done for key in one.notices}):
        table.add_row(f"notice {key}", *(str(one.notices.get(key, 0)) for one in done))
    table.add_row(
        "same wishes as decided for real",
        *(f"{one.agree} of {one.compared}" if one.compared else "not decided then" for one in done),
    )
    if variants:
        table.add_row("wishes other than as it is", *(str(one.differ) for one in done))
    console.print(table)


def run_bench(
    practice: str, smoke: bool, seeds: str, scenarios: list[Path], data: Path | None, options: Sequence[str] = ()
) -> int:
    """Run a practice's bench and print its table; exit code 1 when a floor is not held, 2 when nothing was scored.

    Raises ``InputRefused`` for what the bench cannot run, after what it had scored before that is printed.
    """
    found = load_practices().found.get(practice)
    if found is None:
        raise InputRefused(f"no practice '{practice}' is installed")
    try:
        chosen = tuple(int(seed) for seed in seeds.split(",")) if seeds else ()
    except ValueError:
        raise InputRefused(f"--seeds '{seeds}': write numbers with commas") from None
    for path in scenarios:
        if not path.exists():
            raise InputRefused(f"--scenario {path}: there is no such file or folder")
    if data is None and Path("../shared/data").is_dir():
        data = Path("../shared/data")
    module = importlib.import_module(f"{package_of(found)}.bench")
    own: dict[str, str] = getattr(module, "OPTIONS", {})
    given = dict(option.partition("=")[::2] for option in options)
    if unknown := given.keys() - own.keys():
        known = "; ".join(f"{key}: {means}" for key, means in own.items()) or "it has none"
        raise InputRefused(f"--set {unknown.pop()}: no option of the bench of {practice} ({known})")
    settings = Settings(data, chosen, tuple(scenarios), smoke, given, lambda text: show_words([text]))
    scores: list[Score] = []
    try:
        with console.status(f"bench of {practice}") as status:
            scores.extend(module.bench(settings, lambda text: status.update(escape(text))))
    except ValueError as error:
        raise InputRefused(str(error)) from error
    finally:
        if scores:
            _show_scores(practice, scores)
    if not scores:
        console.print("[red]the bench scored nothing[/red]")
        return 2
    return 0 if all(score.holds for score in scores) else 1


def _show_scores(practice: str, scores: Sequence[Score]) -> None:
    table = Table("scenario", "metric", "ours", "baseline", "ratio", "published", "floor", "note", title=practice)
    notes: dict[str, int] = {}  # under the table, each once
    for score in scores:
        ratio = f"{score.ours / score.baseline:.3f}" if score.baseline else ""
        floor = "" if score.floor is None else f"{score.floor:g}" + ("" if score.holds else " [red]not held[/red]")
        published = "" if score.published is None else f"{score.published:g}"
        told = [score.note, f"published: {score.source}" if published and score.source else ""]
        marks = ",".join(str(notes.setdefault(note, len(notes) + 1)) for note in told if note)
        table.add_row(
            escape(score.scenario), escape(f"{score.metric} [{score.unit}]"), f"{score.ours:.4g}",
            f"{score.baseline:.4g}", ratio, published, floor, marks,
        )  # fmt: skip
    console.print(table)
    for note, mark in notes.items():
        console.print(f"{mark}: {note}", markup=False)


def run_handbook(client: CityClient, out: Path, start: str | None, end: str | None, zone: str) -> None:
    """Write the traffic handbook and say where it is. Raises InputRefused for an unknown time zone."""
    from civium.handbook import write_handbook

    try:
        ZoneInfo(zone or "UTC")
    except (ValueError, ZoneInfoNotFoundError):
        raise InputRefused(f"--timezone {zone}: there is no such time zone; write such as Europe/Helsinki") from None
    with console.status("handbook") as status:
        written = write_handbook(
            client, out, _instant(start) if start else None, _instant(end) if end else None, zone, status.update
        )
    show_words([str(path) for path in written])


def run_check(names: list[str] | None) -> int:
    """Every contract, broken ones with why; exit code 1 when one is broken."""
    table = Table("subject", "rule", "", "why")
    broken = count = 0
    with console.status("checking") as status:
        for result in run_checks(names):
            count += 1
            status.update(f"{result.subject}: {result.rule}")
            if not result.ok:
                broken += 1
                why = escape(f"{result.sentence}: {result.why}")
                table.add_row(result.subject, result.rule, f"[red]{result.status}[/red]", why)
    if broken:
        console.print(table)
    console.print(f"{count} contracts looked at, {broken} not kept")
    return 1 if broken or not count else 0


def build_with_progress(
    extract: Path, out: Path, gtfs: list[Path], elevation: list[Path], cityjson: Path | None, picture: Path | None
) -> None:
    """Build the city model and say what is in it."""
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("the city model", total=1.0)
        summary = build_twin(
            extract, out, gtfs=gtfs or None, elevation=elevation or None, cityjson=cityjson,
            progress=lambda what, share: progress.update(task, description=what, completed=share),
        )  # fmt: skip
    if picture is not None:
        require("matplotlib", "sandbox")
        from civium.twin.model.picture import draw

        draw(out, picture)
    table = Table("layer", "rows", title=f"city model in {out}")
    for name, count in summary.counts.items():
        table.add_row(name, f"{count:,}")
    console.print(table)


def _instant(text: str) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InputRefused(f"'{text}' is no instant; write 2026-06-01T08:00:00Z") from None
    return from_datetime(when if when.tzinfo else when.replace(tzinfo=UTC))
