"""The words of the public pages: one catalogue a language, chosen by the reader's link, cookie or browser."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.requests import Request

CATALOGUES = Path(__file__).with_name("words")
LANGUAGES = {"en": "English", "zh-Hans": "简体中文"}
COOKIE = "civium-language"


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language; ``words("key", n=3)`` gives those of a key with its values put in."""

    language: str

    def __call__(self, key: str, **values: Any) -> str:
        return _catalogue(self.language)[key].format(**values)

    def named(self, prefix: str, name: str) -> str:
        """The words of a key that is made at run time; the name itself where the catalogue has none."""
        return _catalogue(self.language).get(f"{prefix}.{name}", name.replace("_", " "))


def words_of(request: Request) -> Words:
    """The reader's language: ``?lang=`` first, then what was chosen before, then what the browser wants most."""
    wished = [request.query_params.get("lang", ""), request.cookies.get(COOKIE, "")]
    wished += [part.partition(";")[0].strip() for part in request.headers.get("accept-language", "").split(",")[:20]]
    for wish in wished:
        for language in LANGUAGES:
            if wish and wish.lower().partition("-")[0] == language.lower().partition("-")[0]:
                return Words(language)
    return Words("en")


@lru_cache
def _catalogue(language: str) -> dict[str, str]:
    told: dict[str, str] = json.loads((CATALOGUES / f"{language}.json").read_text(encoding="utf-8"))
    return told
