"""A million observations as one Arrow IPC stream, until a read gives them back."""

from collections.abc import Iterable

from ingest import until_queryable
from registry import Figure, Run, benchmark
from rows import as_arrow


@benchmark
def ingest_arrow(run: Run) -> Iterable[Figure]:
    """POST /bulk/observations."""
    return until_queryable(run, "through the Arrow door", "/bulk/observations", lambda t, _: as_arrow(t), aim=1.5)
