"""The answer to the question that birthright is asked first, in one sentence."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from birthright.findings.model import Document, Remedy
from birthright.findings.ranking import FIRST

# How the answer is: something fails, something is unknown, every failure is accepted, nothing fails.
Tone = Literal["bad", "unsure", "waived", "good"]
_COUNTED: dict[Remedy, str] = {"retire": "not in use", "rotate": "in use", "review": "to review"}


class Headline(NamedTuple):
    """The sentence, which `number` begins unless it is 0; what is to be said after it; how it sounds."""

    number: int
    words: str
    detail: str
    tone: Tone

    @property
    def text(self) -> str:
        """The sentence, without its full stop."""
        return f"{self.number} {self.words}" if self.number else self.words


def headline(document: Document, born: Mapping[Remedy, int]) -> Headline | None:
    """Answer from a document; `born` counts the failures by remedy. None if the question was not put."""
    line = next((line for line in document.policies if line.id == FIRST), None)
    if line is None or not document.read:
        return None
    unsure = bool(line.unknown) or not document.complete
    if line.fail:
        counts = [f"{born[remedy]} {words}" for remedy, words in _COUNTED.items() if born.get(remedy)]
        counts += [f"{line.waived} more waived"] if line.waived else []
        return Headline(line.fail, _created(line.fail), ", ".join(counts), "bad")
    if line.waived:
        doubt = "; not every key could be judged" if unsure else ""
        every = "all of them waived" if line.waived > 1 else "waived"
        return Headline(line.waived, _created(line.waived), f"{every}{doubt}", "waived")
    if unsure:
        text = "No key is known to be created together with its user, but not every key could be judged"
        return Headline(0, text, "", "unsure")
    return Headline(0, "No active access key was created together with its user", "", "good")


def _created(count: int) -> str:
    if count == 1:
        return "active access key was created together with its user"
    return "active access keys were created together with their users"
