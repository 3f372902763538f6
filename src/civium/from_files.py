"""``civium register`` and ``civium import``: files go to a city through its doors, in parts, with a progress bar.

While the city works on one part, the next is read.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from civium.client import CityClient, connect, running_url
from civium.core import InputRefused, from_datetime
from civium.sources.files import LineRefusal, size_of
from civium.sources.import_files import Part, Reading, is_parquet, read_parts
from civium.sources.register_files import Chunk, read_chunks

_SHOWN = 20  # refused lines that are told one by one
_MOST_REFUSED = 1000  # a file with more is not looked at further
console = Console(soft_wrap=True, highlight=False)


def register_file(path: Path, city: Path, *, kind: str = "", dry_run: bool = False) -> int:
    """Register the things and streams of a file; returns the exit code, 1 when a line was refused.

    What is known already with the same content is left as it is, so that a file may be sent again.
    """
    chunks = read_chunks(path, kind)
    first = next(chunks)  # a file that cannot be read is told before a city is started
    with _city_for(city, dry_run) as client, _progress() as progress:
        bar = progress.add_task("checking" if dry_run else "registering", total=size_of(path), told="")
        done = _Registration(client, dry_run)
        with _one_ahead(done.send) as send:
            for chunk in _chain(first, chunks):
                send(chunk)
                progress.update(bar, completed=chunk.read, told=f"{done.things:,} things, {done.streams:,} streams")
                if done.refused and not dry_run:
                    break
    return done.tell()


def import_file(path: Path, city: Path, reading: Reading, *, on_error: str = "refuse", dry_run: bool = False) -> int:
    """Import the observations of a file; returns the exit code: 1 when a row was refused and the good not kept.

    ``on_error`` is ``refuse`` (everything is checked before anything is stored) or ``keep`` (the good rows).
    """
    if on_error not in ("refuse", "keep"):
        raise InputRefused(f"--on-error is '{on_error}'; use refuse or keep")
    keep = on_error == "keep"
    next(read_parts(path, reading, 0), None)  # a file that cannot be read is told before a city is asked
    with connect(city) as client:
        now = from_datetime(datetime.fromisoformat(client.get("/api/status")["now"]))
        if dry_run or not keep:
            checked = _import_pass(client, path, reading, now, keep=True, dry_run=True)
            if dry_run or checked.count:
                return checked.tell(keep)
        return _import_pass(client, path, reading, now, keep=keep, dry_run=False).tell(keep)


def _import_pass(client: CityClient, path: Path, reading: Reading, now: int, *, keep: bool, dry_run: bool) -> "_Import":
    done = _Import(client, keep, dry_run, "row" if is_parquet(path) else "line")
    parts = read_parts(path, reading, now)
    with _progress() as progress, _one_ahead(done.send) as send:
        bar = progress.add_task("checking" if dry_run else "storing", total=1.0, told="")
        for part in parts:
            send(part)
            progress.update(bar, completed=part.share, told=f"{done.good:,} rows")
            if done.count >= _MOST_REFUSED and (dry_run or not keep):
                break
    return done


class _Import:
    """What has been imported so far."""

    def __init__(self, client: CityClient, keep: bool, dry_run: bool, noun: str) -> None:
        self._client, self._keep, self._dry_run, self._noun = client, keep, dry_run, noun
        self.good = self.repeated = self.count = 0
        self.refused: list[LineRefusal] = []
        self._parts = 0
        self._begun = time.monotonic()

    def send(self, part: Part) -> None:
        self._refuse(part.refused, len(part.refused))
        self._parts += 1
        if part.table.num_rows == 0:
            return
        body = _arrow(part.table)
        # The same rows at the same place of a file have the same key: sent again soon, they are stored once.
        key = f"import/{self._parts}/{hashlib.blake2b(body, digest_size=16).hexdigest()}"
        on_error, dry_run = "keep" if self._keep else "refuse", "true" if self._dry_run else "false"
        try:
            told = self._client.send(
                "/bulk/observations", body, {"Idempotency-Key": key}, on_error=on_error, dry_run=dry_run
            )
        except InputRefused as error:
            if not error.rows or not self._keep:
                raise
            told = {"good": 0, "repeated": 0, "refused": [asdict(r) for r in error.rows]}
            told["refused_count"] = part.table.num_rows
        self.good += told["good"]
        self.repeated += told["repeated"]
        lines = [LineRefusal(int(part.lines[row["row"]]), row["why"]) for row in told["refused"]]
        self._refuse(lines, told["refused_count"])

    def _refuse(self, refused: list[LineRefusal], count: int) -> None:
        self.refused += refused[: _SHOWN - len(self.refused)] if len(self.refused) < _SHOWN else []
        self.count += count

    def tell(self, keep: bool) -> int:
        seconds = max(time.monotonic() - self._begun, 1e-3)
        if self.count:
            _tell_refused(self.refused, self.count, self._noun)
        if self._dry_run:
            mend = "correct the file, or keep the good rows with --on-error keep"
            why = mend if self.count and not keep else "this was a dry run"
            console.print(f"{self.good:,} rows are good; nothing was stored: {why}")
        else:
            again = f", of them {self.repeated:,} by an earlier run" if self.repeated else ""
            console.print(f"{self.good:,} rows stored{again}; {seconds:,.1f} s, {self.good / seconds:,.0f} rows/s")
        return 1 if self.count and (not keep or not self.good) else 0


def _arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body


class _Registration:
    """What has been registered so far."""

    def __init__(self, client: CityClient, dry_run: bool) -> None:
        self._client, self._dry_run = client, dry_run
        self.things = self.streams = self.created = self.updated = self.unchanged = 0
        self.refused: list[LineRefusal] = []
        self._begun = time.monotonic()

    def send(self, chunk: Chunk) -> None:
        self.refused += chunk.refused
        if not chunk.lines or (self.refused and not self._dry_run):
            return
        try:
            told = self._client.send(
                "/api/register", b"\n".join(chunk.body), ids="false", dry_run="true" if self._dry_run else "false"
            )
        except InputRefused as error:
            if not error.rows:
                raise
            self.refused += [LineRefusal(chunk.lines[r.row], r.why) for r in error.rows]
            return
        self.things += len(chunk.lines)
        self.streams += len(chunk.keys["stream"])
        self.created += told["created"]
        self.updated += told["updated"]
        self.unchanged += told["unchanged"]

    def tell(self) -> int:
        seconds = max(time.monotonic() - self._begun, 1e-3)
        would = "would be " if self._dry_run else ""
        if self.refused:
            _tell_refused(self.refused, len(self.refused), "line")
        if self._dry_run and self.refused:
            console.print("nothing was registered: this was a dry run")
            return 1
        console.print(
            f"{self.things:,} things with {self.streams:,} streams: {self.created:,} {would}new or with something new, "
            f"{self.updated:,} {would}changed, {self.unchanged:,} known already; "
            f"{seconds:,.1f} s, {self.streams / seconds:,.0f} streams/s"
            + ("; nothing was registered: this was a dry run" if self._dry_run else "")
        )
        if self.refused:
            console.print(
                "what stands before them is registered; correct the file and run again: it will be known then"
            )
        return 1 if self.refused else 0


def _tell_refused(refused: list[LineRefusal], count: int, noun: str) -> None:
    for refusal in sorted(refused, key=lambda r: r.line)[:_SHOWN]:
        console.print(f"[red]{noun} {refusal.line}[/red]: {escape(refusal.why)}")
    more = f", of which {_SHOWN} are shown" if count > _SHOWN else ""
    console.print(f"{count:,} {noun + ' was' if count == 1 else noun + 's were'} refused{more}")


@contextmanager
def _city_for(folder: Path, dry_run: bool) -> Iterator[CityClient]:
    """The city of a folder; where there is none a new one is made there, for a dry run one that is thrown away."""
    with ExitStack() as stack:
        if dry_run and not (folder / "catalog.db").exists() and running_url(folder) is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "city"
        with connect(folder, make=True) as client:
            yield client


@contextmanager
def _one_ahead(work: Callable[[Any], None]) -> Iterator[Callable[[Any], None]]:
    """A function that starts ``work`` in another thread when the call before is done; raises what that one raised."""
    waiting: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool:

        def begin(item: Any) -> None:
            while waiting:
                waiting.pop().result()
            waiting.append(pool.submit(work, item))

        yield begin
        while waiting:
            waiting.pop().result()


def _chain(first: Chunk, rest: Iterator[Chunk]) -> Iterator[Chunk]:
    yield first
    yield from rest


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[told]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
