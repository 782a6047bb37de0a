"""The commands of a policy's page that go with a finding, its own values filled in and quoted."""

import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from birthright.aws.identifiers import is_user_name, partition_of
from birthright.facts.answers import ROOT_NAME
from birthright.findings.model import Finding, Remedy
from birthright.policies.page import Page

NEXT: dict[Remedy, str] = {
    "retire": "The key is not in use: disable it, wait, delete it.",
    "rotate": "The key is in use: make a second one, move over, then disable and delete this one.",
    "review": "It needs review first: it is root's key, or its use is not known.",
    "none": "",
}
AWS_CLI = "AWS CLI"
BIRTHRIGHT = "birthright"
_PLACES = re.compile(r"(--[\w-]+ )?\{(user_name|access_key_id|account_id|partition)\}")
_FENCES = re.compile(r"^```\w*[ \t]*(\w*)[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CONDITIONS = {"retire": "not in use", "rotate": "in use"}
_ROOTS = "# root's own: sign in as root, Security credentials; there is no --user-name for it"
_FORGED = "# no commands: IAM allows no such user name, so the facts are damaged or forged"


class Placeholder(NamedTuple):
    """Where a value goes: what it is, and the option it belongs to (`--user-name `), if any."""

    option: str
    name: str


class Template(NamedTuple):
    """Commands with places to fill in: text, and numbers into `places`, in their order."""

    parts: tuple[str | int, ...]
    places: tuple[Placeholder, ...]

    @property
    def blank(self) -> bool:
        """Whether there are no commands."""
        return not self.places and not "".join(map(str, self.parts)).strip()

    def filled(self, values: Sequence[str]) -> str:
        """Return the commands; `values` are those of the places."""
        return "".join(values[part] if isinstance(part, int) else part for part in self.parts).rstrip()


def template_of(page: Page, remedy: Remedy, section: str = AWS_CLI) -> Template:
    """Return the commands that go with a remedy, from a section of the page's remediation."""
    pieces = _PLACES.split(_block(page, remedy, section))
    places: dict[Placeholder, int] = {}
    parts: list[str | int] = [pieces[0]]
    for option, name, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        parts += [places.setdefault(Placeholder(option or "", name), len(places)), text]
    return Template(tuple(parts), tuple(places))


def values_of(template: Template, finding: Finding) -> list[str]:
    """Return what fills the template's places, quoted for a shell.

    A value that was not read is left as a word to fill in; one that begins with a hyphen is joined to
    its option, or it would be taken for another.
    """
    known = {
        "user_name": finding.user_name,
        "access_key_id": finding.access_key_id,
        "account_id": finding.account_id,
        "partition": partition_of(finding.user_arn),
    }
    return [_filled(place, known[place.name]) for place in template.places]


def _filled(place: Placeholder, value: str | None) -> str:
    if value is None:
        return f"{place.option}{place.name.upper()}"
    option = f"{place.option[:-1]}=" if place.option and value.startswith("-") else place.option
    return option + shlex.quote(value)


def why_not(template: Template, finding: Finding) -> str | None:
    """Say, as a comment of a shell, why there are no commands for this finding; None if there are."""
    name = finding.user_name
    if not name or is_user_name(name) or all(place.name != "user_name" for place in template.places):
        return None
    return _ROOTS if name == ROOT_NAME else _FORGED


def _block(page: Page, remedy: Remedy, section: str) -> str:
    """Return the fenced commands of a section that go with a remedy.

    A fence may name the remedy it is for (`sh rotate`); where a person has to look, all are shown, each
    with its condition.
    """
    pattern = rf"^### {re.escape(section)}\s*\n(.*?)(?=^### |\Z)"
    found = re.search(pattern, page.remediation, re.MULTILINE | re.DOTALL)
    parts = []
    for meant_for, commands in _FENCES.findall(found[1] if found else ""):
        if meant_for in {"", remedy}:
            parts.append(commands)
        elif remedy == "review":
            parts.append(f"# only if it is {_CONDITIONS.get(meant_for, meant_for)}\n{commands}")
    return "".join(parts)
