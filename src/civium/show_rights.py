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


def show_audit(changes: list[dict[str, Any]]) -> None:
    """Each change: who, when and why, and below it what became of which row."""
    console = Console(highlight=False)
    for change in changes:
        why = f": {change['why']}" if change["why"] else ""
        console.print(f"{change['sequence']}  {change['at'][:19]}  {change['who']}{why}", markup=False)
        for row in change["changes"]:
            told = {**(row.get("before") or {}), **(row.get("after") or {})}
            was, now = row.get("before") or {}, row.get("after") or {}
            said = ", ".join(f"{name} {was.get(name)!r} -> {now.get(name)!r}" for name in told if was or now)
            console.print(f"    {row['what']} {row['table']} {row['key']}: {said}", markup=False, soft_wrap=True)
        if change["more"]:
            console.print(f"    and {change['more']} more rows")
