"""The page about the city model tells every layer and column as the code has them."""

import re
from pathlib import Path

from civium.twin.model import LAYERS


def test_the_page_names_every_layer_and_column(repository: Path) -> None:
    page = (repository / "docs" / "twin.md").read_text(encoding="utf-8")
    sections = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    told = {}
    for section in sections:
        name, _, text = section.partition("\n")
        rows = re.findall(r"^\| `(\w+)`(°?) \| (\S+) \| (\S*) ?\| (.+) \|$", text, flags=re.MULTILINE)
        told[name] = [(column, bool(mark), kind, unit, what) for column, mark, kind, unit, what in rows]
    meant = {
        name: [
            (
                f.name,
                f.nullable,
                str(f.type),
                f.metadata.get(b"unit", b"").decode(),
                f.metadata[b"description"].decode(),
            )
            for f in schema
            if f.name != "geometry"
        ]
        for name, schema in LAYERS.items()
    }
    assert told == meant
