"""The register of algorithms in the field sets of other registers: what a practice's entry says, field by field.

A field that the entry does not answer stays empty and is named as missing: nothing is guessed on a city's behalf. A key
of ``register.toml`` that bears a field's own name is taken for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Entry = Mapping[str, Any]  # what ``register_entry`` made of a practice
Answer = Callable[[Entry], str]


@dataclass(frozen=True, slots=True)
class Standard:
    """A field set: its fields in order, those that it requires, and how ours answer them."""

    name: str
    fields: tuple[str, ...]
    required: frozenset[str]
    answers: Mapping[str, Answer]

    def entry(self, entry: Entry) -> tuple[dict[str, str], list[str]]:
        """The fields of an entry, and the required ones that nobody has answered."""
        told = {field: self._answer(field, entry) for field in self.fields}
        return told, [field for field in self.fields if field in self.required and not told[field]]

    def _answer(self, field: str, entry: Entry) -> str:
        own = entry["own"].get(field)
        if own:
            return str(own)
        answer = self.answers.get(field)
        return answer(entry) if answer else ""


def _own(*names: str) -> Answer:
    return lambda entry: "\n".join(str(entry["own"][name]) for name in names if entry["own"].get(name))


def _city(name: str) -> Answer:
    return lambda entry: str(entry["city"].get(name, ""))


def _cut(most: int, *names: str) -> Answer:
    """The first sentences that fit; a single one that does not is cut."""

    def answer(entry: Entry) -> str:
        text = _own(*names)(entry).replace("\n", " ")
        if len(text) <= most:
            return text
        whole = text[:most].rpartition(". ")[0]
        return f"{whole}." if whole else f"{text[: most - 1].rstrip()}…"

    return answer


def _always(text: str) -> Answer:
    return lambda _: text


def _status(planned: str, piloted: str, used: str) -> Answer:
    """By what it is allowed to do, and whether it has ever decided."""

    def answer(entry: Entry) -> str:
        if not entry["decisions"]:
            return planned
        return used if entry["mandate"] in ("act", "approve") else piloted

    return answer


def _performance(entry: Entry) -> str:
    told = ", ".join(f"{count} {fate}" for fate, count in sorted(entry["commands"].items()))
    return f"{entry['decisions']} decisions; commands: {told or 'none'}"


def _frequency(entry: Entry) -> str:
    return f"every {entry['every_s']:g} s"


def _people(entry: Entry) -> str:
    rule = {
        "advise": "It only advises: a person decides.",
        "approve": "A person approves each command in time, or it lapses.",
        "act": "It acts by itself within the guard's limits; one switch puts the whole city back to advice.",
    }[entry["mandate"]]
    return f"{rule} {entry['own'].get('oversight', '')}".strip()


def _objection(entry: Entry) -> str:
    return f"Anyone may ask, object or correct at {entry['address']}/ask; the answer is public and has a date."


def _fields(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ATS = Standard(
    "Algorithmic Transparency Standard 0.3.1 (Eurocities)",
    _fields(
        """name description_short organization department contact_email contact_phone contact_name area domain website
        status remark decision_making_process goal impact risks risk_category proportionality lawful_basis documentation
        training_data source_data data_bias connected_data_sources DPIA_description DPIA_url algorithm_type description
        methods_and_models performance alternatives_considered product_information codebase_url product_page
        AIA_description AIA_url monitoring type human_intervention objection_procedure rollback standard_version uuid
        lang publication_date last_change_date revision_date revision_note keywords"""
    ),
    frozenset(
        _fields(
            """name description_short organization department contact_email area domain status decision_making_process
            goal impact risks risk_category proportionality lawful_basis training_data source_data
            connected_data_sources algorithm_type description monitoring type human_intervention objection_procedure
            standard_version lang
            publication_date last_change_date revision_date"""
        )
    ),
    MappingProxyType(
        {
            "name": _own("title"), "description_short": _cut(150, "purpose"), "organization": _city("organization"),
            "department": _own("owner"), "contact_email": _city("contact_email"), "area": _city("area"),
            "website": lambda entry: f"{entry['address']}/register/{entry['id']}",
            "status": _status("development", "pilot", "operational"), "decision_making_process": _own("decides"),
            "goal": _own("purpose"), "risks": _own("limits"), "source_data": _own("data"),
            "connected_data_sources": lambda entry: ", ".join(entry["inputs"]), "description": _own("logic"),
            "methods_and_models": _own("reference"), "performance": _performance, "monitoring": _own("oversight"),
            "human_intervention": _people, "objection_procedure": _objection,
            "rollback": _always("One switch puts the whole city back to advice; every command lapses by itself."),
            "standard_version": _always("0.3.1"), "lang": _always("en"),
            "publication_date": lambda entry: entry["first"], "last_change_date": lambda entry: entry["changed"],
        }
    ),
)  # fmt: skip

DUTCH = Standard(
    "Algoritmeregister publicatiestandaard 1.0 (NL)",
    _fields(
        """name description_short organization category status begin_date end_date contact_email website
        publication_category url goal proportionality human_intervention risks lawful_basis lawful_basis_grouping
        process_index_url impacttoetsen_grouping impacttoetsen source_data source_data_grouping methods_and_models
        provider publiccode lang standard_version source_id tags lars publication_dt"""
    ),
    frozenset(
        _fields("name description_short organization status contact_email publication_category lang"),
    ),
    MappingProxyType(
        {
            "name": _cut(100, "title"), "description_short": _cut(400, "purpose"),
            "organization": _city("organization"),
            "status": _status("In ontwikkeling", "In ontwikkeling", "In gebruik"),
            "begin_date": lambda entry: entry["first"][:7], "contact_email": _city("contact_email"),
            "website": lambda entry: f"{entry['address']}/register/{entry['id']}", "goal": _own("purpose"),
            "human_intervention": _people, "risks": _own("limits"), "source_data": _own("data"),
            "methods_and_models": _own("logic", "reference"), "provider": _own("owner"),
            "standard_version": _always("1.0"),
            "source_id": lambda entry: entry["id"],
        }
    ),
)  # fmt: skip

ATRS = Standard(
    "Algorithmic Transparency Recording Standard (UK)",
    _fields(
        """name description website contact_email organisation team senior_responsible_owner external_supplier
        external_supplier_identifier external_supplier_role data_access_terms scope benefit alternatives_considered
        model_type frequency_usage phase maintenance system_architecture process_integration provided_information
        human_decisions required_training appeals_and_review source_data_name source_data_description source_data_url
        data_collection data_sharing_agreements data_access_and_storage impact_assessment_name
        impact_assessment_description impact_assessment_date impact_assessment_link risk_name risk_description
        risk_mitigation"""
    ),
    frozenset(
        _fields(
            """name description contact_email organisation external_supplier external_supplier_role scope benefit
            model_type phase human_decisions appeals_and_review source_data_name source_data_description data_collection
            data_sharing_agreements data_access_and_storage impact_assessment_name risk_name"""
        )
    ),
    MappingProxyType(
        {
            "name": _own("title"), "description": _own("purpose"), "contact_email": _city("contact_email"),
            "website": lambda entry: f"{entry['address']}/register/{entry['id']}",
            "organisation": _city("organization"), "team": _own("owner"), "scope": _own("decides"),
            "benefit": _own("purpose"),
            "frequency_usage": _frequency, "phase": _status("Design", "Beta/Pilot", "Production"),
            "process_integration": _own("logic"), "human_decisions": _people, "appeals_and_review": _objection,
            "source_data_name": lambda entry: ", ".join(entry["inputs"]), "source_data_description": _own("data"),
            "data_access_and_storage": _own("personal_data"), "risk_description": _own("limits"),
            "risk_mitigation": _own("oversight"),
        }
    ),
)  # fmt: skip

STANDARDS: Mapping[str, Standard] = MappingProxyType({"ats": ATS, "nl": DUTCH, "uk": ATRS})


def as_json(standard: Standard, entries: Sequence[Entry]) -> dict[str, Any]:
    """The register in a standard: the entries, and what each still lacks of what the standard requires."""
    made = [(entry["id"], *standard.entry(entry)) for entry in entries]
    return {
        "standard": standard.name,
        "entries": [told for _, told, _ in made],
        "missing": {identity: lacks for identity, _, lacks in made if lacks},
    }
