"""What the command line shows while a city is backed up and restored."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from civium.backup.restore import restore
from civium.backup.save import save
from civium.backup.target import Manifest, Target
from civium.backup.upgrade import upgrade
from civium.client import connect
from civium.core import InputRefused, to_datetime

_SHOWN = 50  # letters
console = Console()


def run_backup(city: Path, where: str, keep: int) -> None:
    """Back up the city in a folder, and say what was saved."""
    target = Target.open(where)
    with connect(city) as client, _bar("looking") as progress:
        saved = save(client, target, progress)
    removed = target.forget(keep) if keep else 0
    console.print(_table(f"backup {saved.name} in {target.name}", saved.manifest))
    console.print(f"{saved.written / 1e6:,.1f} MB of it were new there", soft_wrap=True)
    if removed:
        console.print(f"{removed} older backups were removed")


def run_restore(city: Path, where: str, name: str) -> None:
    """Put a backup into a new folder, and say what was restored."""
    target = Target.open(where)
    with _bar("looking") as progress:
        restored = restore(target, city, name, progress)
    console.print(_table(f"{city}: restored from {restored.name}", restored.manifest))
    console.print(f"start it with: civium up --city {city}", soft_wrap=True)


def run_upgrade(city: Path) -> None:
    """Bring a city up to this release, and say what was older."""
    with console.status("the city is brought up to this release"):
        done = upgrade(city)
    if done.copies is None:
        console.print("the city is of this release already")
        return
    for line in done.older:
        console.print(line, soft_wrap=True)
    console.print(
        f"the tables as they were are in {done.copies}; remove them when you trust the new ones", soft_wrap=True
    )


def run_letters(city: Path, topic: str, *, retry: bool, drop: bool) -> int:
    """Show dead letters, try them again or drop them; exit code 1 when some that were tried again stay."""
    if retry and drop:
        raise InputRefused("--retry or --drop, not both")
    with connect(city) as client:
        if drop:
            console.print(f"{client.post('/api/dead-letters/drop', topic=topic)['dropped']} letters were dropped")
            return 0
        if retry:
            tried = client.post("/api/dead-letters/retry", topic=topic)
            console.print(f"{tried['taken']} letters were taken in; {tried['stay']} stay")
            for why in tried["why"]:
                console.print(escape(why), soft_wrap=True)
            return int(tried["stay"] > 0)
        letters = client.get("/api/dead-letters", topic=topic, limit=_SHOWN)
    table = Table("letter", "came", "topic", "why", "body")
    for letter in letters:
        came = to_datetime(letter["at"]).isoformat() if letter.get("at") else ""
        table.add_row(letter["id"], came, escape(letter["topic"]), escape(letter["why"]), escape(letter["body"][:60]))
    console.print(table if letters else "there are none")
    return 0


@contextmanager
def _bar(first: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar of bytes."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(first, total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield tell


def _table(title: str, manifest: Manifest) -> Table:
    """Kinds of files with their sizes, and the cut."""
    table = Table("part", "files", "MB", title=title)
    rooms: dict[str, list[int]] = {}
    for part in manifest.parts:
        rooms.setdefault(part.name.partition("/")[0], []).append(part.size)
    for room, sizes in sorted(rooms.items()):
        table.add_row(room, f"{len(sizes):,}", f"{sum(sizes) / 1e6:,.1f}")
    table.add_section()
    for stream, last in manifest.cut.items():
        table.add_row(f"cut: {stream}", "", f"up to message {last:,}")
    table.add_row("city as of", "", to_datetime(manifest.at).isoformat())
    return table
