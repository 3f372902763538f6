"""Errors that say who must act and what to do.

Three errors belong to a turn of the city (DESIGN rule 10): ``NeedUnmet``, ``CommandRefused`` and
``PracticeBroken``. Two belong to its edges: ``InputRefused`` at the doors and ``EngineUnsuitable`` at start-up.
"""

from dataclasses import dataclass


class CiviumError(Exception):
    """Base of every error that Civium raises on purpose; its text is fit for the person who must act."""


class NeedUnmet(CiviumError):
    """An input of a practice is missing or stale. The practice holds; whoever runs the source must act."""

    def __init__(self, need: str, why: str) -> None:
        super().__init__(f"need '{need}' is unmet: {why}")
        self.need = need
        self.why = why

    def __reduce__(self) -> tuple[type["NeedUnmet"], tuple[str, str]]:
        """Comes out of a worker as it went in: an exception is made anew from its text alone."""
        return NeedUnmet, (self.need, self.why)


class CommandRefused(CiviumError):
    """The guard refused a wish. It stays on the record; the practice's owner may act."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class PracticeBroken(CiviumError):
    """A practice raised, hung, or broke its contract. Its owner must act; its things fall back."""

    def __init__(self, practice: str, why: str) -> None:
        super().__init__(f"practice '{practice}' is broken: {why}")
        self.practice = practice
        self.why = why

    def __reduce__(self) -> tuple[type["PracticeBroken"], tuple[str, str]]:
        """As that of ``NeedUnmet``."""
        return PracticeBroken, (self.practice, self.why)


@dataclass(frozen=True, slots=True)
class RowRefusal:
    """One refused row of a batch: its 0-based position in what was sent, and why."""

    row: int
    why: str


class InputRefused(CiviumError):
    """What came through a door is not acceptable. Its sender must act.

    ``status`` is the HTTP status that fits (400 malformed, 404 unknown, 409 conflict, 413 too large).
    """

    def __init__(self, why: str, rows: tuple[RowRefusal, ...] = (), status: int = 400) -> None:
        shown = "; ".join(f"row {r.row}: {r.why}" for r in rows[:5])
        more = f" (and {len(rows) - 5} more rows)" if len(rows) > 5 else ""
        super().__init__(f"{why}: {shown}{more}" if rows else why)
        self.why = why
        self.rows = rows
        self.status = status


class EngineUnsuitable(CiviumError):
    """An engine cannot do what its role asks, or cannot start. Whoever runs the city must change its setting."""

    def __init__(self, role: str, why: str) -> None:
        super().__init__(f"engine for '{role}': {why}")
        self.role = role
        self.why = why
