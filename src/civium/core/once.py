"""A small file that is made once: a token or a key, also when several processes of a node start together."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex


def made_once(path: Path, make: Callable[[], str]) -> str:
    """The text of a file; what ``make`` gives is put there first, for its owner only, if there is none.

    It is there whole or not at all: whoever comes second reads what the first one made. A kill -9 leaves a draft at
    most, which nobody reads.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{token_hex(8)}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(make())
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return path.read_text().strip()
