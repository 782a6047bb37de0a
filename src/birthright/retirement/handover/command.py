"""`command:ARGV`: a program of the user's own, for Vault, GitHub, Kubernetes and the like.

It gets one JSON object on standard input (told_value says which fields) and nothing secret in its arguments
or environment. No shell is involved. By ending with 0 it says that the secret is stored, with 1 to 128 that
nothing is; ended by a signal, or by a shell whose program was (above 128), it says nothing.
"""

import base64
import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress

import msgspec

from birthright.errors import HandoverError, UsageError
from birthright.retirement.handover.foreign import files
from birthright.retirement.handover.interface import (
    DeliveredSecret,
    Destination,
    DestinationType,
    NewSecret,
    Owner,
)
from birthright.retirement.handover.template import check_template, for_key, for_owner
from birthright.retirement.handover.value import told_value
from birthright.secret import Secret

TIMEOUT = 60.0
_SIGNALLED = 128
_LEAST_PART = 8
_SHOWN = 200


def check(rest: str) -> None:
    """Refuse a line that is no program with arguments. Raises UsageError."""
    words = _words(rest)
    if not words or not words[0]:
        raise UsageError("command: the program is missing", "command:./store-secret {user_name}")
    for word in words:
        check_template(word)
    if "{" in words[0]:
        raise UsageError("command: a user's name cannot choose the program", "put it among the arguments")


def destination(rest: str, owner: Owner) -> Destination:
    """Put one user's values into the arguments. Raises UsageError if one would become an option."""
    written = _words(rest)
    filled = tuple(for_owner(word, owner) for word in written)
    for before, after in zip(written, filled, strict=True):
        if after.startswith("-") and not before.startswith("-"):
            raise UsageError(
                f"command: {after!r} would look like an option",
                "write --user={user_name}, or read user_name from standard input",
            )
    program = os.path.expanduser(filled[0])  # noqa: PTH111 - a Path drops the ./ that says "here"
    return _Command(owner, (program, *filled[1:]))


def _words(rest: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(rest))
    except ValueError as error:
        raise UsageError(f"command: {error}", "quote the arguments as in a shell") from error


class _Command(msgspec.Struct, frozen=True):
    """One user's command; its words may still hold `{access_key_id}`."""

    owner: Owner
    words: tuple[str, ...]

    @property
    def where(self) -> str:
        """The command in words."""
        return f"command {shlex.join(self.words)}"

    def check(self) -> None:
        """Refuse a program that is not there or may not be run. Raises HandoverError."""
        if shutil.which(self.words[0]) is None:
            raise HandoverError(
                f"there is no program {self.words[0]} that can be run", "look at its path and permissions"
            )

    def deliver(self, parcel: NewSecret) -> DeliveredSecret:
        """Run the program and believe its exit code. Raises HandoverError."""
        self.check()
        words = tuple(for_key(word, parcel.access_key_id) for word in self.words)
        code, said = _run(words, told_value(self.owner, parcel))
        if code == 0:
            return DeliveredSecret(where=f"command {shlex.join(words)}")
        certain = 0 < code <= _SIGNALLED
        ended = f"ended with {code}" if code > 0 else f"was ended by signal {-code}"
        hint = "it says that nothing is stored" if certain else "it may have stored the secret: look there"
        raise HandoverError(
            f"command {self.words[0]} {ended}{_shown(said, parcel.secret)}", hint, certain=certain
        )

    def holds(self, access_key_id: str, token: str) -> bool | None:  # noqa: ARG002 - nobody can be asked
        """Return None: only the program would know."""
        return None


def _run(words: tuple[str, ...], message: Secret) -> tuple[int, bytes]:
    """Run a program to its end, or to the end of its time; return its exit code and what it complained of.

    It is the first of a process group, so that nothing it started is left when its time is over.
    """
    with files():
        process = subprocess.Popen(  # noqa: S603 - the user's own program
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    said = b""
    try:
        said = process.communicate(f"{message.reveal()}\n".encode(), timeout=TIMEOUT)[1]
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.returncode is None:
            _end(process)
    return process.returncode, said


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program with all it started; one that has ended by itself meanwhile keeps its exit code."""
    with suppress(OSError):
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stderr):
        if stream:
            with suppress(OSError):
                stream.close()


def _shown(said: bytes, secret: Secret) -> str:
    """Return the last line of a complaint, unless it gives anything of the secret away."""
    lines = said.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if not last or _gives_away(last, secret.reveal()):
        return ""
    return f": {last[:_SHOWN]}"


def _gives_away(line: str, secret: str) -> bool:
    """Whether a line has eight characters of the secret in a row, as it is or in a usual encoding."""
    raw = secret.encode()
    encoded = [base64.b64encode(b" " * shift + raw).decode()[4 : -4 or None] for shift in range(3)]
    forms = [secret, raw.hex(), secret[::-1], *encoded]
    seen = _bare(line)
    return any(
        form[at : at + _LEAST_PART] in seen
        for form in map(_bare, forms)
        for at in range(max(1, len(form) - _LEAST_PART + 1))
    )


def _bare(text: str) -> str:
    """Leave letters and digits only, so that quoting and case hide nothing."""
    return "".join(letter for letter in text if letter.isalnum()).casefold()


KIND = DestinationType(name="command", scope="program", check=check, destination=destination)
