"""A policy page: Markdown with YAML front matter, read into frozen values.

The page is data. Reading it checks its form only; `evaluator.py` checks and runs its rule.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from birthright.errors import PageError, UsageError
from birthright.facts.schema import sources
from birthright.policies.subjects import SUBJECTS, Subject
from birthright.strict_yaml import faults, load
from birthright.times import format_duration, parse_duration

Risk = Literal["low", "medium", "high", "critical"]
Effort = Literal["low", "medium", "high"]
Value = bool | int | str | timedelta

T = TypeVar("T")

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FENCE = re.compile(r"^```(\w*)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_LONGEST = 500_000
# The evaluator binds these itself.
_TAKEN = frozenset(
    "as_of as_of_earliest unread_accounts only_accounts first_account after_account last_account".split()
)
_SECTIONS = ("Rule", "Remediation", "Tests")


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parameter of a rule. Its type is the default's: a boolean, a number, a duration, or text."""

    default: bool | int | str
    about: str

    def value(self) -> Value:
        """Return the default as the rule sees it; a duration becomes a timedelta."""
        return _as_duration(self.default)

    def read(self, text: str) -> Value:
        """Parse a value, of the same type as the default. Raises UsageError."""
        wanted = self.value()
        if isinstance(wanted, bool):
            return _read_bool(text)
        if isinstance(wanted, int):
            return _read_int(text)
        return parse_duration(text) if isinstance(wanted, timedelta) else text


class FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands between the `---` lines.

    `frameworks` maps a framework to its versions, each to the control's number there, or `retired`.
    `subject` is one of `SUBJECTS`. `needs` names the AWS reads of which at least one must have been answered
    before an account can be judged at all; without it, those that say anything about the subject.
    """

    id: str
    title: str
    risk: Risk
    effort: Effort
    subject: str
    remedy: Literal["retire", "none"] = "none"
    parameters: dict[str, Parameter] = {}
    frameworks: dict[str, dict[str, str]] = {}
    references: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


class Page(msgspec.Struct, frozen=True):
    """A whole page. `prose`, `remediation` are Markdown; `rule` is SQL; `tests` is YAML; `text` is all."""

    front: FrontMatter
    origin: str
    prose: str
    rule: str
    remediation: str
    tests: str
    text: str

    @property
    def id(self) -> str:
        """The policy's id, which is also the file's name."""
        return self.front.id

    @property
    def subject(self) -> Subject:
        """What the rule judges."""
        return SUBJECTS[self.front.subject]

    @property
    def needs(self) -> tuple[str, ...]:
        """The AWS reads of which one must have been answered."""
        return self.front.needs or self.subject.needs

    @property
    def sha256(self) -> str:
        """The digest of the whole page, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def body(self) -> str:
        """The sections after the prose, as Markdown."""
        place = self.text.find(self.prose, self.text.find("\n---"))
        return self.text[place + len(self.prose) :].strip()

    def values(self, overrides: Mapping[str, str]) -> dict[str, Value]:
        """Return every parameter's value: the override, or else the default."""
        for name in overrides:
            if name not in self.front.parameters:
                known = ", ".join(self.front.parameters) or "none"
                raise UsageError(f"policy {self.id} has no parameter {name!r}", f"it has: {known}")
        return {
            name: self._read(name, parameter, overrides[name]) if name in overrides else parameter.value()
            for name, parameter in self.front.parameters.items()
        }

    def _read(self, name: str, parameter: Parameter, text: str) -> Value:
        try:
            return parameter.read(text)
        except UsageError as error:
            raise UsageError(f"{self.id}.{name}: {error.message}", error.hint) from error
        except (OverflowError, ValueError) as error:
            raise UsageError(f"{self.id}.{name}: {text[:40]!r} is too large") from error


def read_page(path: Path) -> Page:
    """Read the page in a file. Raises PageError naming the file and the place in it."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
    except UnicodeDecodeError as error:
        raise PageError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise PageError(f"{path}: {error.strerror}") from error
    if len(text) > _LONGEST:
        raise PageError(f"{path}: too large for a page", f"more than {_LONGEST} characters")
    page = parse_page(text, str(path))
    if page.id != path.stem:
        raise PageError(f"{path}: its id is {page.id!r}", f"name the file {page.id}.md")
    return page


def parse_page(text: str, origin: str) -> Page:
    """Read a page from its text; `origin` names it in errors."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    head, body = _split_front_matter(text, origin)
    front = _read_front_matter(head, origin)
    sections = _sections(body, origin)
    return Page(
        front=front,
        origin=origin,
        prose=sections[""].strip(),
        rule=_only_fence(sections["Rule"], "sql", "Rule", origin).strip().removesuffix(";"),
        remediation=sections["Remediation"].strip(),
        tests=_only_fence(sections["Tests"], "yaml", "Tests", origin),
        text=text,
    )


def _split_front_matter(text: str, origin: str) -> tuple[str, str]:
    match = re.match(r"---[ \t]*\n(.*?)^---[ \t]*$\n?", text, re.MULTILINE | re.DOTALL)
    if not match:
        raise PageError(f"{origin}: it does not begin with front matter", "YAML between two lines of ---")
    return match[1], text[match.end() :]


def _read_front_matter(head: str, origin: str) -> FrontMatter:
    front = read_yaml(head, FrontMatter, f"{origin}, front matter", first_line=2)
    if not _ID.fullmatch(front.id):
        raise PageError(f"{origin}: id {front.id!r} is not lower-case words joined by hyphens")
    check_known([front.subject], SUBJECTS, f"{origin}, front matter: subject")
    check_known(front.needs, sources(), f"{origin}, front matter: needs")
    for text in (front.title, *(p.about for p in front.parameters.values())):
        if not text.isprintable():
            raise PageError(f"{origin}: {text!r} holds a line break or a control character")
    for name in front.parameters:
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or name in _TAKEN:
            raise PageError(f"{origin}: parameter {name!r} is not a plain name, or is taken")
    return front


def check_known(names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse a name that is not in a registry. Raises PageError."""
    for name in names:
        if name not in known:
            raise PageError(f"{where} {name!r} is not known", f"it is one of {', '.join(known)}")


def read_yaml(text: str, kind: type[T], where: str, first_line: int = 1) -> T:
    """Read YAML into a type. Raises PageError with the line or the field."""
    with faults(PageError, where, first_line):
        return msgspec.convert(load(text), kind)


def _sections(body: str, origin: str) -> dict[str, str]:
    """Split the body at its `## ` headings; the prose before the first is under ''."""
    parts = re.split(r"^## +(.+?)[ \t]*$\n?", _mask_fences(body), flags=re.MULTILINE)
    names = ["", *parts[1::2]]
    sections: dict[str, str] = {}
    place = 0
    for name, masked in zip(names, parts[0::2], strict=True):
        place = _mask_fences(body).index(masked, place) if masked else place
        if name in sections:
            raise PageError(f"{origin}: two sections are called {name!r}")
        sections[name] = body[place : place + len(masked)]
        place += len(masked)
    for name in _SECTIONS:
        if name not in sections:
            raise PageError(f"{origin}: there is no section '## {name}'")
    return sections


def _mask_fences(body: str) -> str:
    """Blank out fenced blocks, so that a `## ` inside one is not taken for a heading."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", "·", match[0]), body)


def _only_fence(section: str, language: str, name: str, origin: str) -> str:
    found = [match[2] for match in _FENCE.finditer(section) if match[1] == language]
    if len(found) != 1:
        raise PageError(
            f"{origin}: section '## {name}' has {len(found)} fenced {language} blocks",
            "it needs one",
        )
    return found[0]


def _as_duration(default: bool | int | str) -> Value:  # noqa: FBT001
    if isinstance(default, str) and re.fullmatch(r"(\d+[smhd])+", default):
        return parse_duration(default)
    return default


def _read_bool(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise UsageError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _read_int(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a whole number") from error


def show_value(value: Value) -> str:
    """Format a parameter's value for people."""
    if isinstance(value, timedelta):
        return format_duration(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
