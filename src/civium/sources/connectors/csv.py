"""CSV over HTTP, posted or fetched: each row is one item, its cells by the names in the first row."""

import csv
import io
import re
from collections.abc import Mapping, Sequence

from civium.engines.settings import SettingsWrong
from civium.sources.feeds.pull import PullSettings, pull
from civium.sources.feeds.source import Item, Sink, Source, Unreadable

_DECIMAL = re.compile(r"[+-]?\d*,\d+")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?|[+-]?\d{1,3}(?:,\d{3})+\.\d+")  # 1.234,5 and 1,234.5


class CsvSettings(PullSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the file is written."""

    delimiter: str = ","
    encoding: str = "utf-8-sig"
    columns: tuple[str, ...] = ()  # names, where the first row has none
    decimal: str = "."  # or ","
    max_body_mb: float = 16.0


def check(settings: CsvSettings) -> None:
    """Raises SettingsWrong."""
    if len(settings.delimiter) != 1 or settings.decimal not in (".", ","):
        raise SettingsWrong("delimiter is one character, and decimal is '.' or ','")
    try:
        "".encode(settings.encoding)
    except LookupError:
        raise SettingsWrong(f"there is no encoding '{settings.encoding}'") from None


def decode(settings: CsvSettings, body: bytes, headers: Mapping[str, str]) -> Sequence[Item]:
    """The rows of a body; raises Unreadable."""
    return read(settings, body)


def read(settings: CsvSettings, body: bytes) -> Sequence[Item]:
    """The rows of a body, their cells as texts and none where a cell is empty; raises Unreadable.

    A row that has not one cell for each name is an item of its ``line`` and ``cells``, which no field fits; so is one
    with a number in whose digits points or commas may stand for thousands: nobody can tell 1.234 from 1234.
    """
    items: list[Item] = []
    try:
        text = body.decode(settings.encoding).removeprefix("\ufeff")
        if "\0" in text:
            raise Unreadable(f"it is no CSV in {settings.encoding}: there are NUL characters in it")
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=settings.delimiter, strict=True)
        first = list(settings.columns) or next(rows, [])
        names = [name.strip() for name in first]
        if not names or len(set(names)) < len(names):
            raise Unreadable("its first row does not name the columns, each once")
        for cells in rows:
            if len(cells) == len(names) and not any(_is_ambiguous(cell.strip(), settings) for cell in cells):
                items.append(Item({name: _cell(cell, settings) for name, cell in zip(names, cells, strict=True)}))
            elif cells:
                items.append(Item({"line": rows.line_num, "cells": cells}))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Unreadable(f"it is no CSV: {error}") from None
    return items


def _is_ambiguous(cell: str, settings: CsvSettings) -> bool:
    """A number with points or commas between its thousands, as the declared decimal sign lets one think."""
    if _GROUPED.fullmatch(cell) is None:
        return False
    return settings.decimal == "," or "," in cell  # with a decimal point 1.234 is what it looks like


def _cell(cell: str, settings: CsvSettings) -> str | None:
    cell = cell.strip()
    if settings.decimal == "," and _DECIMAL.fullmatch(cell):
        cell = cell.replace(",", ".")
    return cell or None


async def run(settings: CsvSettings, sink: Sink) -> None:
    """Fetch it again and again."""
    await pull(settings, sink, read, ordered=True)


SOURCE = Source("csv", CsvSettings, run=run, decode=decode, check=check)
