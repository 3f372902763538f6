"""Archives of scenarios: what they hold comes out, and nothing of it elsewhere."""

import io
import tarfile
from pathlib import Path

import pytest

from civium.sandbox.scenario import unpack


def archive(path: Path, *members: tuple[str, bytes | None]) -> Path:
    """A tar file of members; one without content is a link to /etc/passwd."""
    with tarfile.open(path, "w:xz") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content or b""))
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_an_archive_is_unpacked_once_without_its_links(tmp_path: Path) -> None:
    given = archive(tmp_path / "town.tar.xz", ("town/run.sumocfg", b"<a/>"), ("town/passwd", None))
    folder = unpack(given)
    assert [path.name for path in sorted(folder.rglob("*")) if path.is_file()] == ["run.sumocfg"]
    (folder / "town" / "run.sumocfg").write_text("<b/>")
    assert (unpack(given) / "town" / "run.sumocfg").read_text() == "<b/>"


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside-of-the-cache", "town/../../../outside"])
def test_nothing_is_written_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    given = archive(tmp_path / "bad.tar.xz", (name, b"x"))
    with pytest.raises(ValueError, match="would lie outside"):
        unpack(given)
    assert not list(tmp_path.rglob("outside*"))
    assert not Path("/tmp/outside-of-the-cache").exists()


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "none.tar.xz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        unpack(tmp_path / "none.tar.xz")
