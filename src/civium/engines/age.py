"""Data of another release: an engine that finds some refuses to start and says which command helps."""

from pathlib import Path

from civium.core import CiviumError


class DataOlder(CiviumError):
    """The data were left by an older release. Whoever runs the city must upgrade them."""

    def __init__(self, what: str, found: str, known: str, where: Path | str) -> None:
        super().__init__(
            f"{what} in {where} was left by an older release (version {found}; this one works on {known}); "
            "run: civium upgrade --city FOLDER"
        )
        self.what = f"{what}: version {found}, now {known}"


class DataNewer(CiviumError):
    """The data were left by a newer release. Whoever runs the city must install that release, or restore a backup."""

    def __init__(self, what: str, found: str, known: str, where: Path | str) -> None:
        super().__init__(
            f"{what} in {where} was left by a newer release (version {found}; this one knows up to {known}); "
            "install that release again, or restore a backup that was made before it"
        )
