"""Turn restrictions: which turns are forbidden or prescribed, tied to the edges of the street graph."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from civium.twin.model.osm import Relation

Rows = list[dict[str, Any]]


def _said(tags: Any) -> Iterator[tuple[str, str | None, str | None]]:
    """Each restriction of a relation: kind, mode that it holds for, condition."""
    kind_of_relation = tags.get("type", "")
    mode_of_relation = kind_of_relation.partition(":")[2] or None
    for key, value in sorted(tags.items()):
        head, *rest = key.split(":")
        if head != "restriction":
            continue
        conditional = bool(rest) and rest[-1] == "conditional"
        modes = rest[:-1] if conditional else rest
        kind, _, condition = value.partition("@")
        if kind.strip().startswith(("no_", "only_")):
            when = condition.strip().strip("()") or None
            yield kind.strip(), modes[0] if modes else mode_of_relation, when


def _ends(edges: Iterable[dict[str, Any]]) -> set[int]:
    """The two ends of a way's line of edges; a closed way has none, so all its nodes."""
    seen: dict[int, set[int]] = defaultdict(set)
    for edge in edges:
        seen[edge["from_node"]].add(edge["to_node"])
        seen[edge["to_node"]].add(edge["from_node"])
    ends = {node for node, others in seen.items() if len(others) == 1}
    return ends or set(seen)


def _only(edges: list[dict[str, Any]]) -> int | None:
    """The one candidate; several are ambiguous, and no guess is made."""
    return edges[0]["id"] if len(edges) == 1 else None


def build_restrictions(relations: Sequence[Relation], edges: Rows, nodes: Rows) -> Rows:
    """Rows of the layer ``turn_restrictions``, one for each pair of from and to.

    Relations whose turn lies outside the street graph are left out. The edges are named where they are unambiguous.
    """
    by_way: dict[int, Rows] = defaultdict(list)
    for edge in edges:
        by_way[edge["way"]].append(edge)
    points = {node["id"]: node["geometry"] for node in nodes}
    rows: Rows = []
    for relation in relations:
        froms = [ref for kind, ref, role in relation.members if role == "from" and kind == "w"]
        tos = [ref for kind, ref, role in relation.members if role == "to" and kind == "w"]
        via_node = next((ref for kind, ref, role in relation.members if role == "via" and kind == "n"), None)
        via_way = next((ref for kind, ref, role in relation.members if role == "via" and kind == "w"), None)
        places = {via_node} if via_node is not None else _ends(by_way[via_way]) if via_way is not None else set()
        place = next((points[node] for node in sorted(places) if node in points), None)
        if place is None:
            continue
        turns = [(f, t) for f in froms for t in tos]
        said = [(turn, what) for turn in turns for what in _said(relation.tags)]
        for number, ((from_way, to_way), (kind, mode, condition)) in enumerate(said):
            before = [e for e in by_way[from_way] if e["to_node"] in places and e["lanes"]]
            after = [e for e in by_way[to_way] if e["from_node"] in places and e["lanes"]]
            rows.append(
                {
                    "id": f"relation/{relation.id}/{number}",
                    "kind": kind,
                    "from_way": from_way,
                    "to_way": to_way,
                    "via_node": via_node,
                    "via_way": via_way,
                    "from_edge": _only(before),
                    "to_edge": _only(after),
                    "applies_to": mode,
                    "except": relation.tags.get("except"),
                    "condition": condition,
                    "geometry": place,
                }
            )
    return rows
