"""``civium check``: every contract of the house as a list of results."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Literal

from civium.check.examine import MEMORY, PATIENCE, Subject, examine
from civium.check.repository import CHECKS, root
from civium.check.rules import RULES, Rule, table
from civium.core import CiviumError
from civium.practices.discovery import entry_points

MOST_SHOWN = 5  # places where one rule is broken


@dataclass(frozen=True, slots=True)
class Result:
    """One rule looked at for one subject (a practice, or ``repository``); ``why`` says where it is broken."""

    subject: str
    rule: str
    sentence: str
    status: Literal["kept", "broken", "exempt", "not examined"]
    why: str = ""

    @property
    def ok(self) -> bool:
        return self.status in ("kept", "exempt")


def check_practice(entry: EntryPoint, patience: float = PATIENCE, memory: int = MEMORY) -> list[Result]:
    """Examine one practice against every rule; ``patience`` [s] beyond its deadline, ``memory`` [byte] at most."""
    subject = examine(entry, patience, memory)
    return [judge(rule, subject) for rule in RULES]


def judge(rule: Rule, subject: Subject) -> Result:
    """Whether a subject that was examined keeps a rule."""
    try:
        whys = list(dict.fromkeys(rule.broken(subject)))
    except Exception as error:  # a contract or a file so unlike what it should be that the rule cannot read it
        whys = [f"it cannot be looked at: {type(error).__name__}: {error}"]
    reason = table(subject.register, "exempt").get(rule.id)
    if whys and rule.exemptable and reason:
        return Result(subject.name, rule.id, rule.sentence, "exempt", str(reason))
    if whys:
        more = [f"and {len(whys) - MOST_SHOWN} more"] if len(whys) > MOST_SHOWN else []
        return Result(subject.name, rule.id, rule.sentence, "broken", "; ".join(whys[:MOST_SHOWN] + more))
    if rule.id in subject.unexamined:
        return Result(subject.name, rule.id, rule.sentence, "not examined", subject.unexamined[rule.id])
    return Result(subject.name, rule.id, rule.sentence, "kept")


def check_repository() -> Iterator[Result]:
    """Layers, and docs against code; nothing when this is no checkout."""
    folder = root()
    if folder is None:
        return
    for rule, (sentence, broken) in CHECKS.items():
        whys = list(broken(folder))
        yield Result("repository", rule, sentence, "broken" if whys else "kept", "; ".join(whys))


def run_checks(names: Iterable[str] | None = None) -> Iterator[Result]:
    """Every result, as it is found: the named practices, or all of them and then the repository if this is a checkout.

    Raises CiviumError for a name that no installed package offers.
    """
    entries = {entry.name: entry for entry in entry_points()}
    wanted = sorted(entries) if names is None else list(names)
    if unknown := [name for name in wanted if name not in entries]:
        raise CiviumError(
            f"no practice is called {', '.join(unknown)}; installed are {', '.join(sorted(entries)) or 'none'}"
        )
    for name in wanted:
        yield from check_practice(entries[name])
    if names is None:
        yield from check_repository()
