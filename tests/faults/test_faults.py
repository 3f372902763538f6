"""Every fault once, short and by a fixed seed; ``make faults`` has the long rounds."""

import os
from pathlib import Path

import pytest

from tests.faults.embedded import Embedded
from tests.faults.faults import FAULTS
from tests.faults.grounds import CannotRun, plain

_SEED = 7
_RATE = 3000.0  # readings/s
_BLOCKED_S, _CALM_S = 3.0, 1.0
_OPEN_AGAIN_S = 90.0  # a busy machine is no failure; ``make faults`` looks at the 5 s
_TOGETHER = [name for name, fault in FAULTS.items() if fault.ground is plain]
_APART = [[name] for name, fault in FAULTS.items() if fault.ground is not plain]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("faults", [_TOGETHER, *_APART], ids=lambda faults: faults[0] if len(faults) == 1 else "plain")
def test_what_was_accepted_is_stored_once_and_the_record_holds(faults: list[str], tmp_path: Path) -> None:
    try:
        with FAULTS[faults[0]].ground(tmp_path / "place") as place:
            city = Embedded(place, rate=_RATE, open_again_s=_OPEN_AGAIN_S)
            try:
                city.found()
                outcome = city.round(faults, _SEED, _BLOCKED_S, _CALM_S)
            finally:
                city.city.stop()
    except CannotRun as why:
        if os.environ.get("CI"):
            pytest.fail(str(why))
        pytest.skip(str(why))
    assert outcome.complaints == []
