"""AWS shared credentials files: one profile's key changed, every other byte kept.

The lines are edited as bytes, so that comments, order, odd spacing and line ends stay. Python's own parser,
which the AWS CLI and SDK for Python use, then reads the text before and after: unless it finds exactly the
wanted difference, nothing is written.
"""

import configparser
import io
import re

from birthright.errors import HandoverError

KEY_ID = "aws_access_key_id"
SECRET = "aws_secret_access_key"  # noqa: S105 - the field's name
_TOKENS = frozenset({"aws_session_token", "aws_security_token"})
# Where a header is indented nobody can tell it from a value that goes on: such a profile is not found.
_HEADER = re.compile(rb"\[(.+)\]")
_FIELD = re.compile(
    rb"([ \t]*)(aws_access_key_id|aws_secret_access_key|aws_session_token|aws_security_token)"
    rb"[ \t]*[=:][ \t]*",
    re.IGNORECASE,
)


def read_profiles(data: bytes) -> dict[str, dict[str, str]]:
    """Return every section's values, as botocore sees them; `DEFAULT` holds those that count for all.

    Raises HandoverError, certain, that repeats nothing of the file but a line's number.
    """
    parser = configparser.RawConfigParser()
    line: int | None = None
    try:
        parser.read_file(io.TextIOWrapper(io.BytesIO(data), "utf-8"))
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or next(iter(getattr(error, "errors", [])), (0,))[0]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    if line is not None:
        raise HandoverError(
            f"line {line} of the credentials file cannot be read: something is there twice, or is no field",
            "AWS tools cannot read it either: repair it, or choose another file",
        )
    return {parser.default_section: dict(parser.defaults())} | {
        name: dict(parser.items(name)) for name in parser.sections()
    }


def with_key(data: bytes, profile: str, access_key_id: str, secret: str) -> bytes:
    """Return the file with the profile's key replaced, or the profile added at the end.

    Raises HandoverError, certain, if that is not possible without touching anything else.
    """
    before = read_profiles(data)
    lines = data.splitlines(keepends=True)
    end_of_line = b"\r\n" if lines and lines[0].endswith(b"\r\n") else b"\n"
    values = {KEY_ID: access_key_id, SECRET: secret}
    if profile in before:
        changed = _replaced(lines, profile, values, end_of_line)
    else:
        changed = _added(lines, profile, values, end_of_line)
    after = read_profiles(changed)
    kept = {name: value for name, value in before.get(profile, {}).items() if name not in _TOKENS}
    # Values for all profiles count for a new one, too.
    if after != before | {profile: before["DEFAULT"] | kept | values} or not _TOKENS.isdisjoint(
        after[profile]
    ):
        raise HandoverError(
            f"profile {profile} cannot be changed without changing more of the credentials file",
            "choose another profile or file",
        )
    return changed


def _added(lines: list[bytes], profile: str, values: dict[str, str], end_of_line: bytes) -> bytes:
    ended = _with_end(lines, end_of_line)
    blank = [end_of_line] if ended and ended[-1].strip() else []
    header = f"[{profile}]".encode() + end_of_line
    return b"".join([*ended, *blank, header, *_fields(values, end_of_line)])


def _replaced(lines: list[bytes], profile: str, values: dict[str, str], end_of_line: bytes) -> bytes:
    """Change the lines of one profile, between its header and the next."""
    headers = [number for number, line in enumerate(lines) if _HEADER.match(line)]
    start = next((number for number in headers if _name(lines[number]) == profile), len(lines))
    end = next((number for number in headers if number > start), len(lines))
    body, missing = _body(lines[start + 1 : end], values)
    head = lines[: start + 1]
    if missing:
        head = [*_with_end(head, end_of_line), *_fields(missing, end_of_line)]
    return b"".join([*head, *body, *lines[end:]])


def _name(line: bytes) -> str:
    found = _HEADER.match(line)
    return found[1].decode() if found else ""


def _body(lines: list[bytes], values: dict[str, str]) -> tuple[list[bytes], dict[str, str]]:
    """Replace the fields that are there, drop session tokens; also return the values without a field."""
    kept: list[bytes] = []
    missing = dict(values)
    indent: int | None = None
    for line in lines:
        if indent is not None and _continues(line, indent):
            continue
        field = _FIELD.match(line)
        indent = len(field[1]) if field else None
        value = missing.pop(field[2].decode().lower(), None) if field else None
        if field is None:
            kept.append(line)
        elif value is not None:
            ending = line[len(line.rstrip(b"\r\n")) :]
            kept.append(field[0] + value.encode() + ending)
    return kept, missing


def _continues(line: bytes, indent: int) -> bool:
    """Whether a line is the rest of the field above, which begins with `indent` blanks."""
    text = line.strip()
    return bool(text) and text[:1] not in b"#;" and len(line) - len(line.lstrip()) > indent


def _with_end(lines: list[bytes], end_of_line: bytes) -> list[bytes]:
    """Give the last line an end."""
    if not lines or lines[-1].endswith((b"\n", b"\r")):
        return lines
    return [*lines[:-1], lines[-1] + end_of_line]


def _fields(values: dict[str, str], end_of_line: bytes) -> list[bytes]:
    return [f"{name} = {value}".encode() + end_of_line for name, value in values.items()]
