"""A million observations as one SensorThings dataArray, until a read gives them back."""

from collections.abc import Iterable

from ingest import until_queryable
from registry import Figure, Run, benchmark
from rows import as_data_array


@benchmark
def ingest_dataarray(run: Run) -> Iterable[Figure]:
    """POST /v1.1/CreateObservations."""
    return until_queryable(run, "through the dataArray door", "/v1.1/CreateObservations", as_data_array, aim=4.0)
