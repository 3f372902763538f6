"""Declares every folder of ``civium/practices`` and every file of ``civium/sources/connectors`` as an entry point.

So adding a practice touches one folder, and adding a source one file."""

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class EntryPoints(MetadataHookInterface):
    """Fills ``project.entry-points`` with the practices that carry a public register entry, and the sources."""

    def update(self, metadata: dict[str, Any]) -> None:
        registers = Path(self.root, "src", "civium", "practices").glob("*/register.toml")
        names = sorted(register.parent.name for register in registers)
        files = Path(self.root, "src", "civium", "sources", "connectors").glob("[a-z]*.py")
        sources = sorted(file.stem for file in files)
        metadata["entry-points"] = {
            "civium.practices": {name: f"civium.practices.{name}:PRACTICE" for name in names},
            "civium.sources": {name: f"civium.sources.connectors.{name}:SOURCE" for name in sources},
        }
