"""Words for a refusal: what a library complained about, short enough to stand in one sentence."""


def reason(error: BaseException) -> str:
    """The first line of an error's text, or the error's name where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
