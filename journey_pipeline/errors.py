"""The errors of this program: each carries a sentence that says what, how many, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 20  # choices listed in a sentence


class JourneyError(Exception):
    """Anything that a user can mend; its text is shown without a traceback."""


class SettingsError(JourneyError):
    """A settings file that is refused as a whole; `mistakes` lists every one of them, in file order."""

    def __init__(self, path: str, mistakes: list[str]) -> None:
        self.path, self.mistakes = path, mistakes
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}"
        super().__init__(f"{path}: {count}, nothing was run\n" + "\n".join(f"  {m}" for m in mistakes))


class SourceError(JourneyError):
    """A platform that could not be read. `is_transient` tells a retry that helps from one that can't."""

    def __init__(self, sentence: str, *, is_transient: bool) -> None:
        self.is_transient = is_transient
        super().__init__(sentence)


class LostRecordsError(JourneyError):
    """Ids of the raw log that became neither one record nor a rejection: a defect of ours, never of the data."""

    def __init__(self, kind: str, platforms: Iterable[str], lost: int, made_up: int, told: int) -> None:
        of = f" of {', '.join(platforms)}" if lost else ""
        super().__init__(
            f"{kind}: of {told:,} ids that the raw log tells {lost:,}{of} were neither read nor rejected, and {made_up:,} "
            "records are one too many. Nothing was written and the raw log is whole: please report this, it is a defect."
        )


class CheckCrashedError(JourneyError):
    """An expectation that raised instead of answering: a defect of ours, never a verdict about data."""


def one_of(word: str, choices: Iterable[str]) -> str:
    """The end of a sentence that refuses a word: what was meant, if that can be guessed, and what is allowed."""
    known = sorted(choices)
    meant = get_close_matches(word, known, n=1)
    shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return (f"did you mean {meant[0]}? " if meant else "") + f"allowed: {shown or 'none'}"
