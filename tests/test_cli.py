"""The command itself: which one it is."""

from typer.testing import CliRunner

from civium import __version__
from civium.cli import app


def test_it_says_which_it_is() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.output.strip()) == (0, f"civium {__version__}")
