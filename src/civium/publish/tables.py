"""Tables for whoever reads them in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute instead of show


def as_csv(fields: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Rows as CSV (RFC 4180) with a heading; a text that a spreadsheet would compute begins with an apostrophe."""
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(fields)
    for row in rows:
        writer.writerow([f"'{row[field]}" if row[field].startswith(_FORMULA) else row[field] for field in fields])
    return sheet.getvalue()
