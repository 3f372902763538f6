"""Puts an OpenStreetMap file in order: things sorted by kind and id, once each, no id below zero.

Extracts made by Overpass or joined by hand are unsorted, and editors number what they have not uploaded below zero;
pyosmium assembles areas only from sorted files and keeps places only of positive ids.
"""

from pathlib import Path
from typing import Any

import osmium

NEW_IDS = 2**35
"""Where ids below zero are moved to: above every id in use (13 * 10^9 nodes in 2026), and edge ids stay in 53 bits."""


def _moved(ref: int) -> int:
    return NEW_IDS - ref if ref < 0 else ref


def _renumber(thing: Any) -> Any:
    if isinstance(thing, osmium.osm.Way):
        if thing.id < 0 or any(node.ref < 0 for node in thing.nodes):
            return thing.replace(id=_moved(thing.id), nodes=[_moved(node.ref) for node in thing.nodes])
    elif isinstance(thing, osmium.osm.Relation):
        if thing.id < 0 or any(member.ref < 0 for member in thing.members):
            members = [(member.type, _moved(member.ref), member.role) for member in thing.members]
            return thing.replace(id=_moved(thing.id), members=members)
    elif thing.id < 0:
        return thing.replace(id=_moved(thing.id))
    return thing


def tidy(source: Any, folder: Path) -> Path:
    """A sorted copy of ``source`` (osmium.io.File) in ``folder``; of a thing held twice the newest version stays."""
    positive, ordered = folder / "positive.osm.pbf", folder / "ordered.osm.pbf"
    with osmium.SimpleWriter(str(positive)) as writer:
        for thing in osmium.FileProcessor(source):
            writer.add(_renumber(thing))
    merged = osmium.MergeInputReader()
    merged.add_file(str(positive))
    with osmium.SimpleWriter(str(ordered)) as writer:
        merged.apply(writer)
    return ordered
