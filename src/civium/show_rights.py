"""What the ``civium`` command prints of tokens and of the audit."""

from typing import Any

from rich.console import Console
from rich.table import Table


def show_tokens(tokens: list[dict[str, Any]]) -> None:
    """A line for each token."""
    table = Table("id", "name", "role", "for", "made", "ends")
    for token in tokens:
        scope = "; ".join(f"{what} {', '.join(map(str, some))}" for what, some in token["scopes"].items())
        ends = f"revoked {token['revoked'][:16]}" if token["revoked"] else (token["expires"] or "never")[:16]
        table.add_row(str(token["id"]), token["name"], token["role"], scope, token["made"][:16], ends)
    Console().print(table)
