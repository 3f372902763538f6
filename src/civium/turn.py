"""One decision of one practice, in a worker process: view in, plan and digests out. Replay runs the same function."""

import importlib.metadata
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import pyarrow as pa

import civium.core
from civium.core import Plan, Practice, View, digest
from civium.core.wire import convert_params, decode_state, encode_plan, encode_state, read_view
from civium.practices.discovery import load_practices


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as it leaves the worker: plan (JSON), state (bytes), and the digests of all that went in and out."""

    plan: bytes
    state: bytes
    digests: dict[str, str]


def decide_job(practice_id: str, view: str | pa.Buffer, state: bytes | None, params: bytes) -> Decided:
    """Decide on the View in a file or a buffer; ``state`` None means the practice starts.

    What the practice raises passes.
    """
    if not isinstance(view, str):
        return decide_on(practice_id, read_view(view), state, params)
    with pa.memory_map(view) as mapped:
        return decide_on(practice_id, read_view(mapped.read_buffer()), state, params)


def decide_on(practice_id: str, view: View, state: bytes | None, params: bytes) -> Decided:
    """Decide on a View; ``params`` is the JSON of the parameters that differ from the defaults."""
    practice = _practice(practice_id)
    parameters = convert_params(practice.params, msgspec.json.decode(params))
    before = decode_state(state) if state is not None else practice.start(view, parameters)
    plan, after = practice.decide(view, before, parameters)
    _check_plan(practice, view, plan)
    plan_bytes, state_bytes = encode_plan(plan), encode_state(after)
    digests = {
        "view": digest.of_view(view),
        "state_in": digest.of_state(before),
        "state_out": digest.of_state(after),
        "params": digest.of_json(parameters),
        "code": code_digest(practice),
        "lock": lock_digest(),
        "plan": digest.of_bytes(plan_bytes),
    }
    return Decided(plan_bytes, state_bytes, digests)


@lru_cache(maxsize=1)
def _all() -> dict[str, Practice]:
    return load_practices().found


def prepare() -> None:
    """Load in a new worker what every decision needs."""
    _all()
    lock_digest()


def _practice(practice_id: str) -> Practice:
    practice = _all().get(practice_id)
    if practice is None:
        raise LookupError(f"no practice '{practice_id}' is installed")
    return practice


def _check_plan(practice: Practice, view: View, plan: Plan) -> None:
    if not isinstance(plan, Plan):
        raise TypeError(f"decide returned a {type(plan).__name__}, not a Plan")
    makes = {(make.property, make.kind) for make in practice.makes}
    kinds = dict(zip(view.things.column("thing").to_pylist(), view.things.column("kind").to_pylist(), strict=True))
    for estimate in plan.estimates:
        if (estimate.property, kinds.get(estimate.thing)) not in makes:
            raise ValueError(f"an estimate of '{estimate.property}' for thing {estimate.thing} is not in its 'makes'")


def code_of(practice_id: str) -> str:
    """Digest of the code that an installed practice has now."""
    return code_digest(_practice(practice_id))


@lru_cache(maxsize=64)
def code_digest(practice: Practice) -> str:
    """Digest of the practice's own modules and of the core that it stands on."""
    module = sys.modules[practice.decide.__module__]
    assert module.__file__ is not None
    folders = [Path(module.__file__).parent, Path(civium.core.__file__).parent]
    files = [path for folder in folders for path in sorted(folder.glob("*.py")) if not path.name.startswith("bench")]
    return digest.of_json([[path.name, digest.of_bytes(path.read_bytes())] for path in files])


@lru_cache(maxsize=1)
def lock_digest() -> str:
    """Digest of everything that is installed, by name and version."""
    installed = sorted({(d.metadata["Name"].lower(), d.version) for d in importlib.metadata.distributions()})
    return digest.of_json([[sys.version_info[:3]], installed])
