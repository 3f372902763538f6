"""The configuration of a city as files: what people have ordered, in a stable order, and applied with a diff."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from civium.client import CityClient
from civium.core import InputRefused
from civium.engines.settings import load

Entries = dict[str, Any]
_NOTHING: Any = None


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: how it is said, and the requests that make it good (method, path, body)."""

    said: str
    requests: tuple[tuple[str, str, Mapping[str, Any]], ...] = field(default=())


def export(client: CityClient, city: Path, folder: Path) -> list[Path]:
    """Write every file; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (read, _) in _FILES.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(read(client, city), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        written.append(path)
    return written


def differences(client: CityClient, city: Path, folder: Path) -> list[Change]:
    """What must change for the city to be as the files say; raises InputRefused for files that cannot be read."""
    changes: list[Change] = []
    for name, (read, change) in _FILES.items():
        path = folder / f"{name}.json"
        if not path.exists():
            continue
        try:
            wanted: Entries = json.loads(path.read_text())
            if not isinstance(wanted, dict):
                raise ValueError("it is no object")
        except ValueError as error:
            raise InputRefused(f"{path} cannot be read: {error}") from None
        known = read(client, city)
        for key in sorted(wanted.keys() | known.keys()):
            before, after = known.get(key, _NOTHING), wanted.get(key, _NOTHING)
            if before != after:
                changes.append(Change(_said(name, key, before, after), change(key, before, after)))
    if not folder.is_dir():
        raise InputRefused(f"there is no folder {folder}")
    return changes


def carry_out(client: CityClient, changes: list[Change], who: str, why: str) -> None:
    """Make the changes, one after the other; what is refused ends it, and says which it was."""
    for change in changes:
        for method, path, body in change.requests:
            try:
                if method == "DELETE":
                    client.delete(path, **body, who=who, why=why)
                else:
                    client.post(path, **body, who=who, why=why)
            except InputRefused as refused:
                raise InputRefused(f"{change.said.splitlines()[0]}: {refused}", status=refused.status) from None


def _said(name: str, key: str, before: Any, after: Any) -> str:
    lines = [f"{name} {key}:"]
    lines += [] if before is None else [f"  - {json.dumps(before, sort_keys=True, ensure_ascii=False)}"]
    lines += [] if after is None else [f"  + {json.dumps(after, sort_keys=True, ensure_ascii=False)}"]
    if name == "sources":
        lines.append("  change [sources] in civium.toml, and start the city again")
    return "\n".join(lines)


def _practices(client: CityClient, _: Path) -> Entries:
    found = client.get("/api/practices")
    return {row["id"]: {"mandate": row["mandate"], "params": row["params"]} for row in found if "mandate" in row}


def _change_practice(key: str, before: Any, after: Any) -> tuple[Any, ...]:
    wanted = after or {"mandate": "advise", "params": {}}
    known = before or {}
    path = f"/api/practices/{quote(key, safe='')}"
    requests = [
        ("POST", f"{path}/parameters", {"params": wanted.get("params", {})}),
        ("POST", f"{path}/mandate", {"mandate": wanted.get("mandate", "advise")}),
    ]
    return tuple(
        r for r, name in zip(requests, ("params", "mandate"), strict=True) if wanted.get(name) != known.get(name)
    )


def _rules(client: CityClient, _: Path) -> Entries:
    """A stream by its key: its number is another in another city."""
    found: Entries = {}
    for row in client.get("/api/alarms/rules")["rules"]:
        found[row["id"]] = {**row["rule"], "watch": {"stream": row["stream"]}} if row["stream"] else row["rule"]
    return found


def _change_rule(key: str, _: Any, after: Any) -> tuple[Any, ...]:
    if after is None:
        return (("DELETE", f"/api/alarms/rules/{quote(key, safe='')}", {}),)
    return (("POST", "/api/alarms/rules", {"id": key, "rule": after}),)


def _lists(client: CityClient, _: Path) -> Entries:
    return {row["id"]: row["list"] for row in client.get("/api/alarms/on-call")["lists"]}


def _change_list(key: str, _: Any, after: Any) -> tuple[Any, ...]:
    if after is None:
        return (("DELETE", f"/api/alarms/on-call/{quote(key, safe='')}", {}),)
    return (("POST", "/api/alarms/on-call", {"name": key, **after}),)


def _calibrations(client: CityClient, _: Path) -> Entries:
    found: Entries = {}
    for row in client.get("/api/calibrations")["calibrations"]:
        told = {name: row[name] for name in ("stream", "from", "gain", "offset")}
        found[f"{row['stream']} {row['from']}"] = told
    return found


def _change_calibration(key: str, _: Any, after: Any) -> tuple[Any, ...]:
    if after is None:
        stream, _, since = key.rpartition(" ")
        return (("DELETE", "/api/calibrations", {"stream": stream, "from": since}),)
    return (("POST", "/api/calibrations", after),)


def _sources(_: CityClient, city: Path) -> Entries:
    told: Entries = json.loads(json.dumps(load(city).sources))  # lists for tuples, as a file has them
    return told


def _change_source(*_: Any) -> tuple[Any, ...]:
    return ()  # they stand in civium.toml, which is whoever runs the city's to change


_Reads = Callable[[CityClient, Path], Entries]
_Changes = Callable[[str, Any, Any], tuple[Any, ...]]
_FILES: dict[str, tuple[_Reads, _Changes]] = {
    "on_call": (_lists, _change_list),
    "alarm_rules": (_rules, _change_rule),
    "calibrations": (_calibrations, _change_calibration),
    "practices": (_practices, _change_practice),
    "sources": (_sources, _change_source),
}
