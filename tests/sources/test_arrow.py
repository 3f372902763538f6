"""The Arrow door: what a table of observations may say, and what it becomes in SI."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from civium.core import InputRefused
from civium.core.view import INSTANT
from civium.engines.catalog import Catalog, Change
from civium.sources.arrow import decode_arrow
from civium.sources.batch import Batch
from civium.sources.examine import examine
from civium.sources.register import Registered, decode_lines, plan

NOON = 1_780_315_200_000_000
KEYS = ("a/air_temperature", "a/speed", "a/words", "a/switch")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    opened = Catalog.open(f"sqlite:///{tmp_path_factory.mktemp('catalog') / 'catalog.db'}")
    line = b"""{"key": "a", "kind": "mast", "streams": [{"property": "air_temperature", "unit": "degC"},
        {"property": "speed", "unit": "km/h"}, {"property": "words", "type": "text"},
        {"property": "switch", "type": "truth"}]}"""
    edits = plan(decode_lines(line.replace(b"\n", b"")), Registered(), NOON)(opened)
    opened.fold(1, Change(at=NOON, who="test", why="a test", rows=edits.rows))
    return opened


def door(catalog: Catalog, table: pa.Table) -> Batch:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)

    def resolve(keys: Sequence[str]) -> dict[str, int]:
        return catalog.ids_by_key("datastreams", keys)

    return examine(decode_arrow(sink.getvalue().to_pybytes(), NOON, resolve), catalog, NOON, 60.0)


def rows(keys: Sequence[Any], **columns: Any) -> pa.Table:
    return pa.table({"key": keys, "time": pa.array([NOON] * len(keys), INSTANT), **columns})


def refusals(batch: Batch) -> dict[int, str]:
    return {refusal.row: refusal.why for refusal in batch.refused}


def test_a_number_without_a_unit_is_in_the_unit_of_its_stream(catalog: Catalog) -> None:
    batch = door(catalog, rows(KEYS[:2], value=[20.0, 36.0]))
    assert batch.table.column("value").to_pylist() == pytest.approx([293.15, 10.0])
    assert batch.table.column("stream").to_pylist() == [1, 2]


def test_each_row_may_name_another_unit_and_one_that_does_not_fit_is_refused(catalog: Catalog) -> None:
    keys = [KEYS[0], KEYS[1], KEYS[0], KEYS[1], KEYS[0], KEYS[0]]
    units = ["degF", "m/s", None, "K", "blinks", "K"]
    batch = door(catalog, rows(keys, value=[212.0, 3.0, 0.0, 5.0, 6.0, 7.0], unit=units))
    assert batch.table.column("value").to_pylist() == pytest.approx([373.15, 3.0, 273.15, 7.0])
    assert batch.rows.tolist() == [0, 1, 2, 5]
    assert refusals(batch) == {
        3: "unit 'K' does not fit Datastream 2, which is kept in 'm/s'",
        4: "unknown unit 'blinks'",
    }


def test_the_unit_of_all_rows_may_stand_beside_the_column(catalog: Catalog) -> None:
    table = rows([KEYS[0]] * 2, value=[0.0, 1.0])
    field = table.schema.field("value").with_metadata({"unit": "K"})
    stated = table.set_column(2, field, table.column("value"))
    assert door(catalog, stated).table.column("value").to_pylist() == [0.0, 1.0]
    with pytest.raises(InputRefused, match="send one of them"):
        door(catalog, stated.append_column("unit", pa.array(["K", "K"])))


def test_units_survive_the_refusal_of_other_rows(catalog: Catalog) -> None:
    batch = door(catalog, rows([KEYS[0], "nobody", KEYS[0]], value=[1.0, 2.0, 3.0], unit=["K", "K", "degF"]))
    assert batch.table.column("value").to_pylist() == pytest.approx([1.0, (3 + 459.67) * 5 / 9])


def test_keys_may_be_dictionary_encoded_and_unknown_or_absent_ones_are_refused(catalog: Catalog) -> None:
    keys = pa.array([KEYS[1], "nobody", None, KEYS[1]]).dictionary_encode()
    batch = door(catalog, rows(keys, value=[1.0] * 4))
    assert batch.rows.tolist() == [0, 3]
    assert refusals(batch) == {1: "no Datastream has the key 'nobody'", 2: "it has no stream"}


def test_what_is_no_json_is_refused_and_a_truth_counts(catalog: Catalog) -> None:
    batch = door(catalog, rows([KEYS[3]] * 3, json=["true", "{oops", "false"]))
    assert batch.table.column("value").to_pylist() == [1.0, 0.0]
    assert refusals(batch) == {1: "its json is no JSON text"}


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"key": ["a"], "stream": [1], "time": [NOON], "value": [1.0]}, "stream or key"),
        ({"key": ["a"], "time": [NOON]}, "one of value, text, json"),
        ({"key": ["a"], "time": [NOON], "value": [1.0], "colour": ["red"]}, "unknown or repeated column colour"),
    ],
)
def test_columns_that_cannot_be_understood_are_refused_by_name(
    catalog: Catalog, columns: dict[str, Any], why: str
) -> None:
    with pytest.raises(InputRefused, match=why):
        door(catalog, pa.table(columns))


def test_the_index_of_a_reopened_catalogue_knows_the_same_units(catalog: Catalog) -> None:
    again = Catalog(catalog.engine)
    names = {code: unit for unit, code in again.streams.unit_codes.items()}
    assert [names[code] for code in again.streams.si_unit[1:].tolist()] == ["K", "m/s", "1", "1"]
    assert np.array_equal(again.streams.factor, catalog.streams.factor)


def test_a_time_that_no_calendar_can_name_is_refused(catalog: Catalog) -> None:
    far, near = np.array([NOON, 2**62, -(2**62)]), np.array([NOON, NOON, NOON])
    table = pa.table(
        {
            "key": ["a/speed"] * 3,
            "time": pa.array(near).view(INSTANT),
            "value": [1.0, 2.0, 3.0],
            "until": pa.array(np.array([NOON, 2**62, NOON])).view(INSTANT),
        }
    )
    assert {r.row: r.why for r in door(catalog, table).refused} == {1: "phenomenonTime ends after the year 9999"}
    refused = door(catalog, table.set_column(1, "time", pa.array(far).view(INSTANT)).drop_columns("until")).refused
    assert {r.row: r.why for r in refused} == dict.fromkeys((1, 2), "its time lies outside the years 1 to 9999")
