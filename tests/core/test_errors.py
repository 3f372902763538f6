"""The errors of a turn come out of a worker process as they went in."""

import pickle

import pytest

from civium.core import CiviumError, CommandRefused, NeedUnmet, PracticeBroken


@pytest.mark.parametrize("error", [NeedUnmet("count", "silent"), PracticeBroken("p", "raised"), CommandRefused("no")])
def test_an_error_travels(error: CiviumError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
