"""Reads a user's files: what cannot be read ends in one sentence, and every row keeps the line that it stood in."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from civium.core import InputRefused

_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x1f\x8b": "gzip", b"PK": "zip", b"PAR1": "Parquet"}
_DELIMITERS = ",;\t"
LONGEST_TEXT = 16 * 1024 * 1024  # [characters] one line, cell or JSON object


@dataclass(frozen=True, slots=True)
class LineRefusal:
    """A line of a file (from 1) that cannot be taken, and why."""

    line: int
    why: str


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """A file as UTF-8 text; raises InputRefused for one that is missing, empty, not text or not UTF-8."""
    begin = first_bytes(path)
    for mark, what in _MARKS.items():
        if begin.startswith(mark):
            raise InputRefused(f"{path} is {what}, not UTF-8 text; save or unpack it as UTF-8 text first")
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield file
        except UnicodeDecodeError as error:
            wrong = error.object[error.start : error.start + 20]
            raise InputRefused(f"{path} is not UTF-8 text (it holds {wrong!r}); save it as UTF-8 first") from None


def first_bytes(path: Path) -> bytes:
    """How a file begins; raises InputRefused when it cannot be read or is empty."""
    try:
        if path.is_dir():
            raise InputRefused(f"{path} is a folder, not a file")
        with path.open("rb") as file:
            begin = file.read(4096)
    except OSError as error:
        raise InputRefused(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    if not begin.strip():
        raise InputRefused(f"{path} is empty")
    return begin


def size_of(path: Path) -> int:
    """Size [bytes]; 1 at least, so that a share of it can be told."""
    return max(os.stat(path).st_size, 1)


def read_header(file: TextIO, path: Path) -> tuple[list[str], str]:
    """Names of the columns of a CSV file, and what stands between them: the comma, the semicolon or the tab that the
    first line has most of. Raises InputRefused for names that are empty or stand there twice."""
    line = file.readline(LONGEST_TEXT)
    delimiter = max(_DELIMITERS, key=line.count)
    try:
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter, strict=True))]
    except (csv.Error, StopIteration) as error:
        raise InputRefused(f"{path}: the first line does not name the columns: {error or 'it is empty'}") from None
    if "" in names:
        raise InputRefused(f"{path}: column {names.index('') + 1} has no name in the first line")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputRefused(f"{path}: the column {', '.join(twice)} stands twice in the first line")
    return names, delimiter


def check_columns(path: Path, names: Sequence[str], known: Iterable[str]) -> None:
    """Raise InputRefused for columns that are not known, naming them and those that are."""
    unknown = [name for name in names if name not in set(known)]
    if unknown:
        raise InputRefused(f"{path}: unknown column {', '.join(map(repr, unknown[:5]))}; known are {', '.join(known)}")
