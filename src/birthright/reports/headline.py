"""The answer to the question that birthright is asked first, in one sentence."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from birthright.findings.model import Document, Remedy
from birthright.reports.order import FIRST

# How the answer is: something fails, nobody can be sure, all that fails is accepted, nothing fails.
Tone = Literal["bad", "unsure", "waived", "good"]
_COUNTED: dict[Remedy, str] = {"retire": "not in use", "rotate": "in use", "review": "to look at"}


class Headline(NamedTuple):
    """The sentence without its full stop, what is to be said after it, and how it sounds."""

    text: str
    detail: str
    tone: Tone


def headline(document: Document, born: Mapping[Remedy, int]) -> Headline | None:
    """Answer from a document; `born` counts the failures by remedy. None if the question was not put."""
    line = next((line for line in document.policies if line.id == FIRST), None)
    if line is None or not document.read:
        return None
    unsure = bool(line.unknown) or not document.complete
    if line.fail:
        counts = [f"{born[remedy]} {words}" for remedy, words in _COUNTED.items() if born.get(remedy)]
        counts += [f"{line.waived} more waived"] if line.waived else []
        return Headline(_created(line.fail), ", ".join(counts), "bad")
    if line.waived:
        doubt = "; not every key could be judged" if unsure else ""
        return Headline(_created(line.waived), f"all of them waived{doubt}", "waived")
    if unsure:
        text = "No key is known to be created together with its user, but not every key could be judged"
        return Headline(text, "", "unsure")
    return Headline("No active access key was created together with its user", "", "good")


def _created(count: int) -> str:
    keys = "active access key was" if count == 1 else "active access keys were"
    return f"{count} {keys} created together with {'its' if count == 1 else 'their'} user"
