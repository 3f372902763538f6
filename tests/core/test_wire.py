"""Views, states and plans keep their content on the way to a worker and back."""

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from civium.core import Command, Estimate, Freshness, Notice, Plan, Tier, View, digest
from civium.core.view import FRAME, THINGS, latest
from civium.core.wire import decode_plan, decode_state, encode_plan, encode_state, read_view, write_view


def frame(*readings: tuple[int, int, float]) -> pa.Table:
    """Rows of (stream, time [us], value)."""
    return pa.table(
        {
            "id": pa.array(range(len(readings)), pa.int64()),
            "stream": pa.array([r[0] for r in readings], pa.int64()),
            "thing": pa.array([r[0] for r in readings], pa.int64()),
            "time": pa.array([r[1] for r in readings], pa.int64()).cast(FRAME.field("time").type),
            "until": pa.nulls(len(readings), FRAME.field("until").type),
            "value": pa.array([r[2] for r in readings], pa.float64()),
            "text": pa.nulls(len(readings), pa.string()),
            "quality": pa.nulls(len(readings), pa.int16()),
        },
        schema=FRAME,
    )


def through_bytes(view: View) -> View:
    buffer = io.BytesIO()
    write_view(view, buffer)
    return read_view(pa.py_buffer(buffer.getvalue()))


def test_a_view_is_the_same_on_the_other_side() -> None:
    things = pa.table([[7], ["lamp"], ["Käthe"], [24.9], [None], ["{}"]], schema=THINGS)
    view = View(5, {"OBS0": 3}, {"q": frame((1, 2, 3.0))}, things=things, freshness={"q": Freshness(1, 1, 2)})
    assert digest.of_view(through_bytes(view)) == digest.of_view(view)


@pytest.mark.parametrize(
    "other",
    [
        View(6, {"OBS0": 3}, {"q": frame((1, 2, 3.0))}),
        View(5, {"OBS0": 4}, {"q": frame((1, 2, 3.0))}),
        View(5, {"OBS0": 3}, {"q": frame((1, 2, 3.0000000000000004))}),
        View(5, {"OBS0": 3}, {"q": frame((1, 3, 3.0))}),
        View(5, {"OBS0": 3}, {"r": frame((1, 2, 3.0))}),
    ],
)
def test_any_change_of_a_view_changes_its_digest(other: View) -> None:
    assert digest.of_view(other) != digest.of_view(View(5, {"OBS0": 3}, {"q": frame((1, 2, 3.0))}))


def test_the_digest_of_a_table_does_not_know_how_it_is_chunked() -> None:
    whole = frame((1, 2, 3.0), (2, 2, 4.0))
    assert digest.of_table(pa.concat_tables([whole.slice(0, 1), whole.slice(1)])) == digest.of_table(whole)


@given(
    st.dictionaries(
        st.text(max_size=5), hnp.arrays(st.sampled_from(["f8", "i8", "?", "U3"]), hnp.array_shapes(max_dims=3))
    )
)
def test_a_state_survives(state: dict[str, np.ndarray]) -> None:
    again = decode_state(encode_state(state))
    assert digest.of_state(again) == digest.of_state(state)
    assert all(again[name].shape == state[name].shape for name in state)


def test_a_state_of_python_objects_is_refused() -> None:
    with pytest.raises(ValueError, match="Python objects"):
        encode_state({"bag": np.array([{}], dtype=object)})


def test_a_state_over_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        encode_state({"big": np.zeros(3_000_000)})


def test_a_plan_survives_and_one_with_nan_is_refused() -> None:
    plan = Plan(
        (Command(1, "up", 5, Tier.LIFE, "fire"),),
        (Estimate(1, "p", 2, 3.5),),
        (Notice("desk", "info", "k", {"a": 1}),),
        "x",
    )
    assert decode_plan(encode_plan(plan)) == plan
    with pytest.raises(ValueError, match="not finite"):
        encode_plan(Plan(estimates=(Estimate(1, "p", 2, float("nan")),)))


def test_the_latest_row_of_each_stream() -> None:
    now = latest(frame((1, 1, 1.0), (1, 2, 2.0), (2, 1, 3.0)))
    assert now.column("value").to_pylist() == [2.0, 3.0]
