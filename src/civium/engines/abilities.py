"""Which engine may play which role: abilities and requirements as data, checked by name before anything starts."""

from civium.core import EngineUnsuitable

# What each role must be able to do.
REQUIRED: dict[str, frozenset[str]] = {
    "log": frozenset({"persistent", "ordered", "synced", "deduplicates", "mqtt"}),
    "store": frozenset({"persistent", "transactional", "columnar", "time_partitioned"}),
    "catalog": frozenset({"persistent", "transactional", "synced"}),
    "blobs": frozenset({"persistent"}),
    "compute": frozenset({"isolated", "deadline", "memory_limit"}),
}

# What a city in several processes needs besides.
SHARED: dict[str, frozenset[str]] = {role: frozenset({"shared"}) for role in REQUIRED}

# What each engine that people may name can do. An engine that lacks something is refused by name, with the reason.
ABILITIES: dict[str, dict[str, frozenset[str]]] = {
    "log": {
        "embedded": frozenset({"persistent", "ordered", "synced", "deduplicates", "mqtt"}),
        "nats": frozenset({"persistent", "ordered", "synced", "deduplicates", "mqtt", "shared"}),
        "memory": frozenset({"ordered"}),
        "mqtt": frozenset({"mqtt"}),
    },
    "store": {
        "ducklake": frozenset({"persistent", "transactional", "columnar", "time_partitioned"}),
        "ducklake+postgresql": frozenset({"persistent", "transactional", "columnar", "time_partitioned", "shared"}),
        "sqlite": frozenset({"persistent", "transactional"}),
        "memory": frozenset({"transactional", "columnar"}),
    },
    "catalog": {
        # Each process folds its own file from the log, so a file is no hindrance to sharing.
        "sqlite": frozenset({"persistent", "transactional", "synced", "shared"}),
        "postgresql": frozenset({"persistent", "transactional", "synced", "shared"}),
        "memory": frozenset({"transactional"}),
    },
    "blobs": {
        "file": frozenset({"persistent"}),
        "s3": frozenset({"persistent", "shared"}),
        "memory": frozenset(),
    },
    "compute": {
        "processes": frozenset({"isolated", "deadline", "memory_limit", "shared"}),
        "ray": frozenset({"isolated", "deadline", "memory_limit", "shared"}),
        "threads": frozenset(),
    },
}


def check(role: str, url: str, *, shared: bool = False) -> tuple[str, str]:
    """Split ``scheme:rest`` and refuse a scheme that is unknown or lacks an ability the role requires.

    ``shared``: the city runs in several processes.
    """
    scheme, colon, rest = url.partition(":")
    required = REQUIRED[role] | SHARED[role] if shared else REQUIRED[role]
    suitable = sorted(name for name, can in ABILITIES[role].items() if required <= can)
    advice = f"use one of {', '.join(f'{name}:' for name in suitable)}"
    if not colon:
        raise EngineUnsuitable(role, f"'{url}' is not a URL; {advice}")
    if scheme not in ABILITIES[role]:
        raise EngineUnsuitable(role, f"'{scheme}' is not an engine that this release knows; {advice}")
    missing = required - ABILITIES[role][scheme]
    if missing:
        raise EngineUnsuitable(
            role, f"'{scheme}' cannot do what the role needs ({', '.join(sorted(missing))}); {advice}"
        )
    return scheme, rest
