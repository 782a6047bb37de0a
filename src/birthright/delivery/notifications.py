"""Sends notifications of new findings through Apprise: chat, mail, webhooks.

The URLs hold tokens: of a URL nothing is ever shown but its scheme, and Apprise's own log is silenced. A
notification that does not arrive never makes a scan fail.
"""

import logging
import os
import re
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birthright.errors import UsageError
from birthright.findings.model import FRESH
from birthright.findings.ranking import RISKS
from birthright.secret import Secret
from birthright.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from birthright.findings.model import Document, Finding
    from birthright.reports.interface import Report

VARIABLE = "BIRTHRIGHT_NOTIFY"
# Seconds for all of them together; Apprise's own limits are 4 s to connect and between bytes.
_DEADLINE = 30.0
_SHOWN = 10
_LONGEST_REASON = 200
_LONGEST_NAME = 100
_LONGEST_FILE = 65536  # bytes
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,11}", re.ASCII)
_HINT = "Apprise's documentation lists the forms; the URL is not shown because it may hold a token"
# Chats read these as mentions of everyone, wherever they stand.
_MENTION = re.compile(r"@(?=everyone|here|channel|all)|(?<!\w)@", re.IGNORECASE)
_BRACKETS = str.maketrans({"<": "\u2039", ">": "\u203a"})
_ZERO_WIDTH = "\u200b"


def check_urls(said: Sequence[str], environment: "Mapping[str, str] | None" = None) -> tuple[Secret, ...]:
    """Return the URLs to notify: each of `said` is one, or `@FILE` with one in each line.

    Without any, BIRTHRIGHT_NOTIFY is taken, which may hold several, with blanks between them. To be called
    before anything is read. Raises UsageError, which shows no URL.
    """
    environment = os.environ if environment is None else environment
    urls = [url for text in said or environment.get(VARIABLE, "").split() for url in _written(text)]
    for place, url in enumerate(urls, start=1):
        if _target(url) is None:
            raise UsageError(f"the {_called(url)} (number {place}) cannot be used", _HINT)
    return tuple(map(Secret, urls))


def notify(report: "Report", urls: Sequence[Secret], deadline: float = _DEADLINE) -> tuple[str, ...]:
    """Send the findings that are new or came back; nothing if there are none.

    Where nothing was compared, all failures are new. deadline: seconds after which sending is given up.
    Returns a line about each that did not get through.
    """
    message = _message(report.document) if urls else None
    if message is None:
        return ()
    sending = [_Sending(url.reveal(), *message) for url in urls]
    until = time.monotonic() + deadline
    for one in sending:
        one.join(max(until - time.monotonic(), 0.0))
    return tuple(f"the {_called(one.url)} did not get through: {one.why}" for one in sending if one.why)


class _Sending(threading.Thread):
    """One notification under way; a daemon, so that one that hangs does not keep the program."""

    def __init__(self, url: str, title: str, body: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self._target = _target(url)
        self._title, self._body = title, body
        self._sent: bool | None = None
        self.start()

    def run(self) -> None:
        from apprise import Apprise, NotifyFormat, NotifyType

        to = Apprise()
        if to.add(self._target):
            kind, form = NotifyType.WARNING, NotifyFormat.TEXT
            self._sent = bool(to.notify(self._body, self._title, kind, body_format=form))

    @property
    def why(self) -> str:
        """Why it did not arrive; empty where it did."""
        if self._sent is None and self.is_alive():
            return "no answer in time"
        return "" if self._sent else "it was refused, or nobody is there"


def _written(text: str) -> Iterator[str]:
    """Give the URLs that an option stands for."""
    if not text.startswith("@"):
        yield text.strip()
        return
    file = Path(text[1:])
    try:
        with file.expanduser().open("rb") as opened:
            data = opened.read(_LONGEST_FILE + 1)
        lines = data.decode().splitlines()
    except OSError as error:
        raise UsageError(f"--notify: {file}: {error.strerror}") from error
    except RuntimeError:
        # Of `~user`.
        raise UsageError(f"--notify: {file}: there is no such user") from None
    except UnicodeDecodeError:
        raise UsageError(f"--notify: {file} is no text") from None
    if len(data) > _LONGEST_FILE:
        raise UsageError(f"--notify: {file} is too large for a list of URLs")
    urls = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not urls:
        raise UsageError(f"--notify: {file} names no URL", "one in each line")
    yield from urls


def _target(url: str) -> Any:  # noqa: ANN401 - Apprise's plugins have no common type that is public
    """Return what Apprise makes of a URL, None if nothing. Raises UsageError where there is no Apprise."""
    # It logs what it sends, and where, at levels of its own.
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        # Its plugins load all that they may need, also what Python is about to drop.
        warnings.simplefilter("ignore")
        try:
            from apprise import Apprise
        except ImportError:
            raise UsageError("--notify needs Apprise", "pip install 'birthright[notify]'") from None
        return Apprise.instantiate(url, suppress_exceptions=True)


def _called(url: str) -> str:
    """Name a URL by its scheme, if what stands there looks like one."""
    scheme = url.partition("://")[0].lower()
    known = "://" in url and _SCHEME.fullmatch(scheme)
    return f"notification URL {scheme}://..." if known else "notification URL without a scheme"


def _message(document: "Document") -> tuple[str, str] | None:
    """Write title and text; None where nothing is new."""
    counts = dict.fromkeys(RISKS, 0)
    accounts: set[str] = set()
    shown: list[Finding] = []
    back = 0
    for finding in _new(document):
        counts[finding.risk] += 1
        accounts.add(finding.account_id)
        back += finding.state == "reappeared"
        # The riskiest first, else in the order of the findings.
        if len(shown) < _SHOWN or RISKS[finding.risk] < RISKS[shown[-1].risk]:
            shown = sorted([*shown, finding], key=lambda one: RISKS[one.risk])[:_SHOWN]
    total = sum(counts.values())
    if not total:
        return None
    what = _counted(total, "new finding")
    risks = ", ".join(f"{count} {risk}" for risk, count in counts.items() if count)
    lines = [f"{what} in {_counted(len(accounts), 'account')}: {risks}."]
    if back:
        lines.append(f"{back} of them had been fixed before.")
    if not document.complete:
        lines.append("Not everything could be read.")
    lines += ["", *map(_line, shown)]
    if total > len(shown):
        lines.append(f"and {total - len(shown)} more")
    lines += ["", f"Scan {document.scan.id}"]
    return f"birthright: {what}", "\n".join(lines)


def _new(document: "Document") -> "Iterable[Finding]":
    states = FRESH if document.changes else {None, *FRESH}
    return (
        finding
        for finding in document.findings
        if finding.verdict == "fail" and finding.waiver is None and finding.state in states
    )


def _line(finding: "Finding") -> str:
    from birthright.reports.subjects import is_root

    user = "root" if is_root(finding) else _defused(finding.user_name or "the account", _LONGEST_NAME)
    # Enough to find it by, and nothing to search the web for.
    key = f" (key ...{finding.access_key_id[-4:]})" if finding.access_key_id else ""
    reason = _defused(finding.reason, _LONGEST_REASON)
    return f"- {finding.risk}: {finding.account_id} {user}{key}: {reason} [{_defused(finding.policy, 80)}]"


def _defused(text: str, longest: int) -> str:
    """Take from a stranger's text what terminals and chats act upon, and what is too much of it."""
    text = printable(text).translate(_BRACKETS)
    text = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return _MENTION.sub(f"@{_ZERO_WIDTH}", text)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
