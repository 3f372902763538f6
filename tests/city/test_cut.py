"""A backup knows the place of every stream of the log."""

from civium.cut import _place
from civium.engines.log import streams


def test_every_stream_of_the_log_has_its_place_in_the_order_of_copying() -> None:
    assert [_place(name)[1] for name in streams(2, 1)] == list(streams(2, 1))
