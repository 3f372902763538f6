"""Rules of decoding observations: every good row is kept as sent, every bad row is named."""

import contextlib
import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civium.core import InputRefused
from civium.core.observations import OBSERVATION
from civium.sources.batch import Batch
from civium.sources.instants import read_instant, write_instant
from civium.sources.keys import row_key
from civium.sources.sensorthings.data_array import decode_data_array
from civium.sources.sensorthings.observations import InlineEntity, decode_observations

NOW = read_instant("2026-11-22T12:00:00Z")
T1, T2 = "2026-11-22T10:00:00Z", "2026-11-22T11:30:00.25+01:00"


def group(rows: list[list[Any]], components: tuple[str, ...] = ("phenomenonTime", "result"), stream: int = 1) -> Any:
    return {"Datastream": {"@iot.id": stream}, "components": list(components), "dataArray": rows}


def data_array(*groups: Any) -> Batch:
    return decode_data_array(json.dumps(groups).encode(), NOW)


def single(**fields: Any) -> Batch:
    return decode_observations(json.dumps(fields).encode(), 7, NOW)


def column(batch: Batch, name: str) -> list[Any]:
    values = batch.table[name]
    return (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).to_pylist()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**50), st.integers(1, 5), JSON), max_size=30))
def test_what_was_sent_is_what_is_kept(sent: list[tuple[int, int, Any]]) -> None:
    groups = [group([[write_instant(time), result]], stream=stream) for time, stream, result in sent]
    batch = data_array(*groups)
    assert batch.table.schema == OBSERVATION
    batch.table.validate(full=True)
    assert batch.refused == ()
    assert column(batch, "stream") == [stream for _, stream, _ in sent]
    assert column(batch, "time") == [time for time, _, _ in sent]
    assert column(batch, "made") == [NOW] * len(sent)
    for row, (_, _, result) in zip(batch.table.to_pylist(), sent, strict=True):
        if row["json"] is not None:
            assert json.loads(row["json"]) == result
        elif row["text"] is not None:
            assert row["text"] == result
        elif row["value"] is not None:
            assert math.isclose(row["value"], result, rel_tol=1e-15)
        else:
            assert result is None


def test_bad_rows_are_named_and_good_rows_kept() -> None:
    batch = data_array(
        group([[T1, 1], ["2026-11-22T10:00:00", 2], [T1, 3]]),
        group([[T1], [T2, 5], [6, 6], ["2026-13-01T00:00:00Z", 7]], stream=2),
    )
    assert batch.rows.tolist() == [0, 2, 4]
    assert column(batch, "value") == [1, 3, 5]
    assert column(batch, "stream") == [1, 1, 2]
    assert [refusal.row for refusal in batch.refused] == [1, 3, 5, 6]
    assert "no time zone" in batch.refused[0].why
    assert "1 values for 2 components" in batch.refused[1].why


def test_all_components_reach_their_columns() -> None:
    names = (
        "result",
        "resultTime",
        "phenomenonTime",
        "resultQuality",
        "validTime",
        "parameters",
        "FeatureOfInterest/id",
    )
    rows = [
        [20.5, T2, f"{T1}/{T2}", 3, f"{T1}/{T2}", {"depth": 2}, 11],
        [21, None, T1, {"nameOfMeasure": "x"}, None, None, None],
        [22, T1, T1, None, None, [1], "eleven"],
        [23, f"{T1}/{T2}", T1, None, None, None, None],
    ]
    batch = data_array(group(rows, names))
    first, second = batch.table.to_pylist()
    assert (first["quality"], first["feature"]) == (3, 11)
    assert json.loads(first["params"]) == {"depth": 2, "@iot.validTime": f"{T1}/{T2}"}
    assert json.loads(second["params"]) == {"@iot.resultQuality": {"nameOfMeasure": "x"}}
    assert column(batch, "until") == [read_instant(T2), None]
    assert column(batch, "made") == [read_instant(T2), NOW]
    assert [refusal.row for refusal in batch.refused] == [2, 3]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b'[{"Datastream":{"@iot.id":"x"},"components":["result"],"dataArray":[]}]',
        b'[{"Datastream":{"@iot.id":1},"components":["result"],"dataArray":[3]}]',
        b'[{"Datastream":{"@iot.id":1},"components":["result","colour"],"dataArray":[]}]',
        b'[{"Datastream":{"@iot.id":1},"components":["phenomenonTime"],"dataArray":[]}]',
        b'[{"Datastream":{"@iot.id":1},"components":["result","result"],"dataArray":[]}]',
        b'[{"Datastream":{"@iot.id":1},"components":["result"],"dataArray":[["\xff"]]}]',
        b'[{"Datastream":{"@iot.id":1},"components":["result"],"dataArray":[["\\ud800"]]}]',
        b'[{"Datastream":{"@iot.id":1},"components":["result"],"dataArray":[[NaN]]}]',
        b"[" * 100_000,
    ],
)
def test_what_is_no_data_array_is_refused(body: bytes) -> None:
    with pytest.raises(InputRefused):
        decode_data_array(body, NOW)


def test_an_empty_data_array_is_an_empty_batch() -> None:
    assert data_array().table.num_rows == data_array(group([])).table.num_rows == 0


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_random_bytes_are_refused_or_decoded(body: bytes) -> None:
    for decode in (lambda: decode_data_array(body, NOW), lambda: decode_observations(body, 1, NOW)):
        with contextlib.suppress(InputRefused):
            decode().table.validate(full=True)


def test_one_observation_without_times_is_of_now() -> None:
    batch = single(result=4)
    assert (column(batch, "stream"), column(batch, "time"), column(batch, "made")) == ([7], [NOW], [NOW])
    assert column(single(result=4, resultTime=T1), "time") == [read_instant(T1)]


def test_many_observations_each_with_its_stream() -> None:
    many = [
        {"result": 1, "Datastream": {"@iot.id": 3}, "idempotencyKey": "a"},
        {"result": 2},
        {"Datastream": {"@iot.id": 3}},
        {"result": "x", "Datastream": {"@iot.id": 4}, "FeatureOfInterest": {"@iot.id": 5}},
        {"resutl": 2, "Datastream": {"@iot.id": 3}},
        {"result": 10**400, "Datastream": {"@iot.id": 3}},
        {"result": 1, "Datastream": {"@iot.id": 2**70}},
    ]
    batch = decode_observations(json.dumps(many).encode(), None, NOW)
    assert batch.rows.tolist() == [0, 3]
    assert column(batch, "stream") == [3, 4]
    assert column(batch, "feature") == [None, 5]
    assert column(batch, "text") == [None, "x"]
    assert batch.keys is not None
    assert batch.keys["key"].tolist() == [row_key(3, "a"), 0]
    assert [(refusal.row, word in refusal.why) for refusal, word in zip(
        batch.refused, ["Datastream", "result", "resutl", "range", "id"], strict=True
    )] == [(1, True), (2, True), (4, True), (5, True), (6, True)]  # fmt: skip


def test_an_observation_of_another_stream_is_refused() -> None:
    assert "Datastream(3)" in single(result=1, Datastream={"@iot.id": 3}).refused[0].why
    assert single(result=1, Datastream={"@iot.id": 7}).refused == ()


@pytest.mark.parametrize("name", ["FeatureOfInterest", "Datastream"])
def test_a_new_entity_inside_an_observation_is_told_apart(name: str) -> None:
    with pytest.raises(InlineEntity):
        single(result=1, **{name: {"name": "new", "Thing": {"@iot.id": 1}}})


@pytest.mark.parametrize("stream", [2**63, -(2**63) - 1, 1.5, "1", None])
def test_a_group_of_a_datastream_whose_id_is_none_is_refused(stream: Any) -> None:
    body = json.dumps([{"Datastream": {"@iot.id": stream}, "components": ["result"], "dataArray": [[1]]}])
    with pytest.raises(InputRefused, match="no dataArray"):
        decode_data_array(body.encode(), NOW)
