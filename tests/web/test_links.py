"""The answer of CreateObservations: one text for each row that was sent, in its place."""

import json

import numpy as np
import pytest

from civium.sources.intake import Receipt
from civium.web.sensorthings import _links


@pytest.mark.parametrize(
    ("ids", "rows", "expected"),
    [
        ([], [], []),
        ([], [], ["error", "error"]),
        ([7], [0], ["base(7)"]),
        ([7, 9], [0, 1], ["base(7)", "base(9)"]),
        ([7, 9], [1, 3], ["error", "base(7)", "error", "base(9)"]),
    ],
)
def test_each_row_is_answered_by_its_link_or_by_error(ids: list[int], rows: list[int], expected: list[str]) -> None:
    stored = Receipt(np.array(ids, np.int64), np.array(rows, np.int64), ())
    assert json.loads(_links("base", stored, len(expected))) == expected


def test_an_address_with_a_quote_stays_within_its_text() -> None:
    stored = Receipt(np.array([1], np.int64), np.array([0], np.int64), ())
    assert json.loads(_links('a"b\\c', stored, 1)) == ['a"b\\c(1)']
