"""A city starts only with settings that are right and engines that can do their job; what is wrong is named."""

from pathlib import Path

import pytest

from civium.core import EngineUnsuitable
from civium.engines.settings import SettingsWrong, load


def write(folder: Path, text: str) -> Path:
    (folder / "civium.toml").write_text(text)
    return folder


def test_an_empty_folder_has_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, {}).doors.http == "127.0.0.1:8765"


def test_the_environment_is_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, '[doors]\nhttp = "127.0.0.1:1"\nmax_body_mb = 3')
    settings = load(tmp_path, {"CIVIUM_DOORS_HTTP": "127.0.0.1:2", "CIVIUM_STORE_MEMORY_MB": "512"})
    assert (settings.doors.http, settings.doors.max_body_mb, settings.store.memory_mb) == ("127.0.0.1:2", 3, 512)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[doors]\nhttps = 1", "https"),
        ("[store]\nthreads = 'many'", "threads"),
        ("not toml", "TOML"),
        ("[clock]\nsource = 'moon'", "moon"),
        ("[doors]\nmqtt = 'somewhere'", "somewhere"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsWrong, match=named):
        load(write(tmp_path, text), {})


@pytest.mark.parametrize(
    ("role", "url", "named"),
    [
        ("log", "memory:", "persistent"),
        ("log", "kafka://broker", "'kafka'"),
        ("store", "sqlite:lake.db", "columnar"),
        ("catalog", "memory:", "persistent"),
        ("compute", "threads:4", "deadline"),
        ("blobs", "blobs", "not a URL"),
    ],
)
def test_an_unsuitable_engine_is_refused_by_name(tmp_path: Path, role: str, url: str, named: str) -> None:
    with pytest.raises(EngineUnsuitable, match=named) as refusal:
        load(write(tmp_path, f'[engines]\n{role} = "{url}"'), {})
    assert role in str(refusal.value)
    assert "use one of" in str(refusal.value)
