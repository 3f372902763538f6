"""Every practice of this house keeps every contract."""

from pathlib import Path

import pytest

from civium.check.report import run_checks

PRACTICES = Path(__file__).parents[2] / "src" / "civium" / "practices"


@pytest.mark.parametrize("name", sorted(path.parent.name for path in PRACTICES.glob("*/__init__.py")))
def test_a_practice_keeps_its_contract(name: str) -> None:
    broken = {result.rule: result.why for result in run_checks([name]) if not result.ok}
    assert broken == {}
