"""The built console: small at first, from this host alone, and in both languages."""

import gzip
import json
import re
from pathlib import Path

import httpx
import pytest

from civium.web.console import BUILT
from civium.web.language import CATALOGUES, LANGUAGES
from tests.city.conftest import CityProcess

FIRST_PAINT = 1_500_000  # bytes, gzipped
ADDRESS = re.compile(r"\b(?:https?|wss?)://[a-z0-9.-]+\.[a-z]{2,}", re.IGNORECASE)


def _needed(manifest: dict[str, dict[str, object]], name: str) -> set[str]:
    """The files that a chunk loads before it runs."""
    chunk = manifest[name]
    files = {str(chunk["file"]), *map(str, chunk.get("css", ()))}  # type: ignore[call-overload] # of JSON that Vite wrote
    return files.union(*(_needed(manifest, other) for other in chunk.get("imports", ())))  # type: ignore[attr-defined] # the same


@pytest.fixture
def manifest() -> dict[str, dict[str, object]]:
    path = BUILT / ".vite" / "manifest.json"
    if not path.is_file():
        pytest.skip("the console is not built")
    told: dict[str, dict[str, object]] = json.loads(path.read_text())
    return told


def test_the_desk_is_small_and_the_map_comes_later(manifest: dict[str, dict[str, object]]) -> None:
    first = _needed(manifest, "index.html")
    size = sum(len(gzip.compress((BUILT / name).read_bytes())) for name in first)
    assert size < FIRST_PAINT
    assert not any(b"maplibregl-map" in (BUILT / name).read_bytes() for name in first if name.endswith(".js"))


def test_scripts_and_styles_come_compressed_to_who_takes_it(town: CityProcess) -> None:
    for name in BUILT.joinpath("assets").iterdir():
        told = {
            encoding: httpx.get(f"{town.url}/console/assets/{name.name}", headers={"Accept-Encoding": encoding})
            for encoding in ("gzip", "identity")
        }
        assert all(one.content == name.read_bytes() for one in told.values())
        packed = name.suffix in (".js", ".mjs", ".css")
        assert (told["gzip"].headers.get("content-encoding") == "gzip") == packed, name.name
        assert "content-encoding" not in told["identity"].headers
        assert "default-src 'none'" in told["gzip"].headers["content-security-policy"]


def test_every_key_is_in_every_language(repository: Path) -> None:
    for folder in (CATALOGUES, repository / "console" / "src" / "words"):
        catalogues = {language: json.loads((folder / f"{language}.json").read_text()) for language in LANGUAGES}
        english = catalogues["en"]
        for language, words in catalogues.items():
            assert set(words) == set(english), language
            for key, text in words.items():
                assert text.strip(), (language, key)
                assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", english[key])), (language, key)


def test_every_key_that_the_console_asks_for_is_there(repository: Path) -> None:
    source = repository / "console" / "src"
    words = json.loads((source / "words" / "en.json").read_text())
    asked = {
        key
        for path in source.rglob("*.ts*")
        for key in re.findall(r'\bt\("([a-z.]+)"', path.read_text(encoding="utf-8"))
    }
    assert asked - set(words) == set()
    assert len(asked) > 100


def test_no_lock_file_names_a_host(repository: Path) -> None:
    assert "resolved" not in (repository / "console" / "package-lock.json").read_text()
