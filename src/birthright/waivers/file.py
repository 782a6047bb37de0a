"""`waivers.yaml`: which failures are accepted, by whom, why, and until when. Made to be reviewed in git.

    schema: birthright.waivers/1
    waivers:
      - policy: access-key-created-with-user
        account: "111122223333"
        user: ci-*
        access_key_id: AKIAIOSFODNN7EXAMPLE
        reason: Vendor rotates it in January
        owner: team-payments@example.com
        ticket: SEC-1042
        created: 2026-11-22
        expires: 2027-01-31

A file with anything wrong in it is refused whole, so that nothing is waived by accident. Days are UTC.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from birthright import strict_yaml
from birthright.errors import UsageError
from birthright.strict_yaml import faults, loader
from birthright.text import printable
from birthright.times import now
from birthright.versioned import check_version

if TYPE_CHECKING:
    import yaml

SCHEMA = "birthright.waivers/1"
DEFAULT = Path("waivers.yaml")
LONGEST = timedelta(days=366)

_MOST_BYTES = 1_000_000
_MOST_CHARACTERS = 1000  # of one field
_DEEPEST = 4  # the file, its list, an entry, and what is wrong anyway
_SHOWN = 40
# East of Greenwich it is tomorrow already.
_AHEAD = timedelta(days=1)
_STR, _NULL, _DATE = (f"tag:yaml.org,2002:{name}" for name in ("str", "null", "timestamp"))
_POLICY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ACCOUNT = re.compile(r"[0-9]{12}|[0-9*?]{0,24}[*?][0-9*?]{0,24}")
_KEY_ID = re.compile(r"[A-Z0-9]{16,128}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TEXTS = ("policy", "account", "user", "reason", "owner")
_OPTIONAL = ("access_key_id", "ticket")
_DATES = ("created", "expires")
_FIELDS = (*_TEXTS, *_OPTIONAL, *_DATES)


class WaiverEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. `account` and `user` may be patterns (`*`, `?`); it holds through the day `expires`, UTC.

    `access_key_id` is None where the policy is not about keys.
    """

    policy: str
    account: str
    user: str
    access_key_id: str | None = None
    reason: str
    owner: str
    ticket: str | None = None
    created: date
    expires: date

    @property
    def subject(self) -> tuple[str, str, str, str | None]:
        """What it is about: no two entries may be about the same."""
        return self.policy, self.account, self.user, self.access_key_id


def load_waivers(path: Path) -> tuple[WaiverEntry, ...]:
    """Read a file, entries in its order. Raises UsageError with the line and the field."""
    return parse_waivers(read_waivers(path), str(path))


def read_waivers(path: Path) -> bytes:
    """Return a file's bytes. Raises UsageError if it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "--waivers names the file") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path}: too large for a file of waivers", f"more than {_MOST_BYTES} bytes")
    return data


def parse_waivers(data: bytes, origin: str) -> tuple[WaiverEntry, ...]:
    """Read the entries from a file's bytes; `origin` names it in errors. Raises UsageError."""
    entries = _entries(root_of(text_of(data, origin), origin), origin)
    seen: dict[tuple[str, str, str, str | None], int] = {}
    found: list[WaiverEntry] = []
    for number, node in enumerate(entries):
        entry = _Entry(node, number, origin)
        made = entry.read()
        first = seen.setdefault(made.subject, number)
        if first != number:
            raise entry.error("", f"it names the same as entry {first + 1}", "keep one of the two")
        found.append(made)
    return tuple(found)


def problems(one: WaiverEntry) -> Iterator[tuple[str, str]]:
    """Give what is wrong with an entry: the field, and what is wrong with it, in words."""
    for name in (*_TEXTS, *_OPTIONAL):
        value = getattr(one, name)
        if value is not None:
            yield from ((name, wrong) for wrong in wrong_text(value))
    if not _POLICY.fullmatch(one.policy):
        yield "policy", f"{_shown(one.policy)} is no policy's id; patterns are for account and user only"
    if not _ACCOUNT.fullmatch(one.account):
        yield "account", f"{_shown(one.account)} is not twelve digits, or a pattern of digits, * and ?"
    if one.access_key_id is not None and not _KEY_ID.fullmatch(one.access_key_id):
        yield "access_key_id", f"{_shown(one.access_key_id)} is no key's id; it is never a pattern"
    if not one.access_key_id and not one.account.strip("*?") and not one.user.strip("*?"):
        yield "user", "it would cover every user of every account: name an account or users"
    yield from _wrong_dates(one)


def wrong_text(text: str) -> Iterator[str]:
    """Give what is wrong with a text of an entry, in words."""
    if not text.strip():
        yield "it is empty"
    if not text.isprintable():
        yield "it holds a line break, or a character that cannot be seen"
    if len(text) > _MOST_CHARACTERS:
        yield f"it is longer than {_MOST_CHARACTERS} characters"


def _wrong_dates(one: WaiverEntry) -> Iterator[tuple[str, str]]:
    if one.created - now().date() > _AHEAD:
        yield "created", f"{one.created} is yet to come"
    if one.expires <= one.created:
        yield "expires", f"{one.expires} is not after created, {one.created}"
    elif one.expires - one.created > LONGEST:
        yield "expires", f"{one.expires} is more than {LONGEST.days} days after created, {one.created}"


def text_of(data: bytes, origin: str) -> str:
    """Decode a file. Raises UsageError."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{origin}: not UTF-8 text (byte {error.start})") from error


def root_of(text: str, origin: str) -> "yaml.Node | None":
    """Return the YAML's root node; None of an empty text. Raises UsageError with the line.

    Anchors, aliases and tags are refused before anything is built: a small text can mean a huge value.
    """
    import yaml

    with faults(UsageError, origin):
        _check_events(yaml.parse(text, Loader=loader()), origin)
        return strict_yaml.root_of(text)


def _check_events(events: "Iterator[yaml.Event]", origin: str) -> None:
    import yaml

    depth = documents = 0
    for event in events:
        place = _at(event, origin)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise UsageError(f"{place}: anchors and aliases are refused", "write each entry out")
        if getattr(event, "tag", None):
            raise UsageError(f"{place}: tags are refused", "write plain values")
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise UsageError(f"{place}: nested too deeply for a file of waivers")
        if documents > 1:
            raise UsageError(f"{place}: a second document begins", "keep all entries in one list")


def _entries(root: "yaml.Node | None", origin: str) -> "list[yaml.Node]":
    """Return the nodes of the entries; the schema is checked."""
    import yaml

    hint = f"it begins with 'schema: {SCHEMA}'"
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{origin}: holds no waivers", hint)
    fields = fields_of(root, origin)
    if "schema" not in fields:
        raise UsageError(f"{origin}: it has no schema", hint)
    _check_schema(fields["schema"], origin, hint)
    for name, node in fields.items():
        if name not in {"schema", "waivers"}:
            raise UsageError(f"{_at(node, origin)}: there is no field {_shown(name)}", hint)
    if "waivers" not in fields:
        raise UsageError(f"{origin}: it has no list 'waivers'", "write 'waivers: []' for none")
    node = fields["waivers"]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if node.tag == _NULL:
        return []
    raise UsageError(f"{_at(node, origin)}: 'waivers' is not a list", "each entry begins with '- '")


def _check_schema(node: "yaml.Node", origin: str, hint: str) -> None:
    found = str(node.value)
    other = UsageError(f"{_at(node, origin)}: holds no waivers: its schema is {_shown(found)}", hint)
    newer = UsageError(f"{_at(node, origin)}: written for a newer birthright", "upgrade birthright")
    check_version(found, SCHEMA, other, newer)


def fields_of(node: "yaml.MappingNode", place: str) -> "dict[str, yaml.Node]":
    """Return a mapping's fields."""
    import yaml

    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UsageError(f"{_at(key, place)}: a field's name is a word")
    return {key.value: value for key, value in node.value}


class _Entry:
    """One entry as it stands in the file."""

    def __init__(self, node: "yaml.Node", number: int, origin: str) -> None:
        self._node = node
        self._number = number
        self._origin = origin
        self._fields: dict[str, yaml.Node] = {}

    def read(self) -> WaiverEntry:
        """Read and check it. Raises UsageError."""
        import yaml

        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("", "it is not a list of fields", "like 'policy: access-key-unused'")
        self._fields = fields_of(self._node, self._origin)
        for name in self._fields:
            if name not in _FIELDS:
                raise self.error(name, "there is no such field", f"there are {', '.join(_FIELDS)}")
        texts = {name: self._text(name) for name in _TEXTS}
        texts |= {name: self._text(name) for name in _OPTIONAL if name in self._fields}
        dates = {name: self._date(name) for name in _DATES}
        made = msgspec.convert(texts | dates, WaiverEntry)
        for name, wrong in problems(made):
            raise self.error(name, wrong)
        return made

    def error(self, name: str, wrong: str, hint: str = "") -> UsageError:
        """Make the error that names line, entry and field."""
        field = f"waivers[{self._number}]" + (f".{printable(name[:_SHOWN])}" if name else "")
        place = _at(self._fields.get(name, self._node), self._origin)
        return UsageError(f"{place}: entry {self._number + 1} ({field}): {wrong}", hint)

    def _scalar(self, name: str) -> "yaml.ScalarNode":
        import yaml

        node = self._fields.get(name)
        if node is None:
            raise self.error(name, "it is missing", "every entry needs it")
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(name, "it is not one plain value")
        if node.tag == _NULL:
            raise self.error(name, "it is empty")
        return node

    def _text(self, name: str) -> str:
        node = self._scalar(name)
        if node.tag != _STR:
            # 000123456789 would be read as another number, and `no` as false.
            raise self.error(name, f"YAML does not take {_shown(node.value)} for text", "put it in quotes")
        return str(node.value)

    def _date(self, name: str) -> date:
        node = self._scalar(name)
        try:
            if node.tag in {_STR, _DATE} and _DAY.fullmatch(node.value):
                return date.fromisoformat(node.value)
        except ValueError:
            pass
        raise self.error(name, f"{_shown(node.value)} is not a date", "write it like 2027-01-31")


def _at(what: "yaml.Node | yaml.Event", origin: str) -> str:
    mark = what.start_mark
    return f"{origin}, line {mark.line + 1}" if mark else origin


def _shown(value: object) -> str:
    text = str(value)
    return repr(printable(text[:_SHOWN]) + ("…" if len(text) > _SHOWN else ""))
