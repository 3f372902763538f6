"""Drives the last runs of a work folder again without control: ``python -m civium.sandbox.compare --work FOLDER``.

Writes ``fixed_time.jsonl``, with one line for each line of ``traffic.jsonl``.
"""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from civium.core import CiviumError
from civium.sandbox.city import run_without_control
from civium.sandbox.record import Record
from civium.sandbox.town import prepare


def compare(work: Path) -> int:
    """Drives every controlled run again; returns the number of lines written to ``fixed_time.jsonl``."""
    record = Record(work)
    driven = record.lines("traffic.jsonl")
    (work / "fixed_time.jsonl").unlink(missing_ok=True)
    for run in record.runs():
        last = max((line["second"] for line in driven if line["run"] == run.number), default=run.second)
        if last > run.second:
            town = prepare(Path(run.extract), work, run.seed, date.fromisoformat(run.day))
            run_without_control(
                town, work, run.second, last - run.second,
                lambda line: record.append("fixed_time.jsonl", line), run.number, run.ambulances,
            )  # fmt: skip
    return len(record.lines("fixed_time.jsonl"))


def main(work: Annotated[Path, typer.Option(help="The sandbox's work folder.")]) -> None:
    """Drive the runs of a sandbox again under fixed-time signals, with the same seed."""
    try:
        lines = compare(work)
    except CiviumError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{lines} minutes driven again: {work / 'fixed_time.jsonl'}")


if __name__ == "__main__":
    typer.run(main)
