"""Puts the page of every practice into the documentation, from the practice's own folder."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PRACTICES = Path(__file__).parent / "src" / "civium" / "practices"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the pages under Practices."""
    (section,) = (entry["Practices"] for entry in config.nav or [] if "Practices" in entry)
    section += [f"practices/{page.parent.name}.md" for page in sorted(PRACTICES.glob("*/README.md"))]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for page in sorted(PRACTICES.glob("*/README.md")):
        name = f"practices/{page.parent.name}.md"
        files.append(File.generated(config, name, content=page.read_text(encoding="utf-8")))
    return files
