"""The digest of texts depends on the texts alone, and on which row holds which."""

import pyarrow as pa
import pytest

from civium.core.digest import of_table

TEXTS = ["lamp", None, "", "Ääkkönen", "tram 7"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_slices_and_chunks_do_not_count(kind: pa.DataType) -> None:
    plain = pa.table({"text": pa.array(TEXTS, pa.string()).cast(kind)})
    longer = pa.table({"text": pa.array(["before", *TEXTS, "after"], pa.string()).cast(kind)})
    chunked = pa.concat_tables([plain.slice(0, 2), plain.slice(2, 0), plain.slice(2)])
    assert of_table(plain) == of_table(longer.slice(1, len(TEXTS))) == of_table(chunked)


def test_the_same_letters_in_other_rows_are_another_table() -> None:
    tables = [pa.table({"text": pa.array(texts, pa.string())}) for texts in (["ab", "c"], ["a", "bc"], [None, "abc"])]
    assert len({of_table(table) for table in tables}) == 3


def test_the_digest_of_today_is_the_digest_of_yesterday() -> None:
    told = pa.table({"thing": pa.array([1, 2], pa.int64()), "name": pa.array(["lamp", None], pa.string())})
    assert of_table(told) == "b020c8479a534411bcf029df61aabf199a8d2aff9da4d52f33b1466f05aef3ec"
