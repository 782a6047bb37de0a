"""HTML: one file that shows everything, opens from disk and loads nothing."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any, TextIO

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from birthright.findings.model import AccountSummary, Document, Finding, OuSummary, WaiverState
from birthright.findings.ranking import FIRST, REMEDIES, rank
from birthright.policies.page import Page
from birthright.reports.headline import headline
from birthright.reports.html import ages, gaps, trend
from birthright.reports.html.collecting import PageData
from birthright.reports.html.data import Commands, data_of
from birthright.reports.html.reading import reading_of
from birthright.reports.html.statuses import WORDS, standing_of
from birthright.reports.html.text import Pages
from birthright.reports.html.trend import draw_trend
from birthright.reports.interface import Report
from birthright.reports.subjects import age_of
from birthright.text import printable
from birthright.times import format_duration, format_instant

_STATIC_ROWS = 25  # what a reader without scripts sees of the table
_MOST_ACCOUNTS = 20
_FEW = 5  # more rows than that would push the answer off the first screen
_MOST_WAIVERS = 200
_REMEDIES = {
    "retire": ("retire", "not in use: disable, wait, delete"),
    "rotate": ("rotate", "in use: make a new key, move over, then retire this one"),
    "review": ("review", "needs review: root's, or its use is not known"),
    "none": ("manual", "manual remediation, see the policy"),
}
_WAIVER_ORDER: tuple[WaiverState, ...] = ("expired", "unmatched", "expiring", "unread", "active")


def render(report: Report, out: TextIO) -> None:
    """Write the page, as it comes; findings are gone through once."""
    template = _environment().get_template("page.html.j2")
    out.writelines(template.generate(_context(report)))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("birthright.reports.html", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "instant": lambda moment: format_instant(moment) if moment else "",
        "minute": lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC",
        "day": lambda moment: f"{moment:%Y-%m-%d}" if moment else "",
        "length": _length,
        "number": lambda count: f"{count:,}",
        "px": lambda size: f"{size:g}",
    }
    return environment


def _finalize(value: object) -> object:
    """Show what cannot be seen as escapes; what is HTML already is ours."""
    return printable(value) if type(value) is str else value


def _length(seconds: int | None) -> str:
    if seconds is None:
        return ""
    try:
        return format_duration(timedelta(seconds=seconds))
    except OverflowError:
        return f"{seconds} s"  # a document from elsewhere may say so


def _context(report: Report) -> dict[str, Any]:
    document, pages = report.document, report.pages
    found = PageData(document, passes=report.passes)
    rows = list(found.rows)
    first = next((line for line in document.policies if line.id == FIRST), None)
    return {
        **_page_parts(),
        **_numbers(document, found, first),
        "document": document,
        "reading": reading_of(document),
        "found": found,
        "gaps": found.gaps.picture(document),
        "ages": found.ages.picture(),
        "trend": draw_trend(document.history),
        "rows": len(rows),
        "static": _static(rows[:_STATIC_ROWS], pages, document.scan.as_of),
        "data": map(Markup, data_of(document, pages, rows)),  # escaped for where it stands
        "policies": _policies(document, pages),
    }


def _numbers(document: Document, found: PageData, first: Any) -> dict[str, Any]:  # noqa: ANN401
    accounts = [line for line in document.accounts if line.fail or line.unknown or line.waived]
    waivers = sorted(document.waivers, key=lambda line: (_WAIVER_ORDER.index(line.state), line.expires))
    return {
        "first": first,
        "answer": headline(document, found.survey.born),
        "remedies": [(*_REMEDIES[name], found.survey.failing[name].count, found.survey.born[name], name)
                     for name in REMEDIES],
        "accounts": sorted(accounts, key=_badness)[:_MOST_ACCOUNTS],
        "accounts_left_out": max(len(accounts) - _MOST_ACCOUNTS, 0),
        "ous": sorted(document.ous, key=_ou_badness)[:_MOST_ACCOUNTS],
        "ous_left_out": max(len(document.ous) - _MOST_ACCOUNTS, 0),
        "waivers": waivers[:_MOST_WAIVERS],
        "waivers_left_out": max(len(waivers) - _MOST_WAIVERS, 0),
        "waivers_to_look_at": sum(line.state != "active" for line in waivers),
    }  # fmt: skip


def _badness(line: AccountSummary) -> tuple[int, int, str]:
    return -line.fail, -line.unknown, line.account_id


def _ou_badness(line: OuSummary) -> tuple[int, int, str]:
    return -line.fail, -line.unknown, line.ou_path


def _static(rows: Iterable[Finding], pages: Mapping[str, Page], as_of: datetime) -> list[dict[str, Any]]:
    """Return the first findings with their commands, for readers without scripts."""
    commands = Commands(pages)
    return [
        {
            "finding": finding,
            "standing": standing_of(finding),
            "known": age_of(finding, as_of),
            "commands": [
                (name, [template] if isinstance(template, str) else template.filled(values).splitlines())
                for _, name, template, values in commands.of(finding)
            ],
        }
        for finding in rows
    ]


def _policies(document: Document, pages: Mapping[str, Page]) -> list[dict[str, Any]]:
    parser = Pages()
    lines = sorted(document.policies, key=lambda line: rank(line.id, line.risk))
    return [
        {
            "line": line,
            "page": page,
            "prose": parser.html(page.prose) if page else "",
            "remediation": parser.html(page.remediation) if page else "",
            "rule": page.rule.splitlines() if page else [],
        }
        for line in lines
        for page in [pages.get(line.id)]
    ]


def _page_parts() -> dict[str, Any]:
    """Return what is the same in every page.

    Style and script each come with the hash by which the page's own rule lets it in.
    """
    parts: dict[str, Any] = {
        "words": WORDS,
        "remedy_names": {name: words for name, (words, _) in _REMEDIES.items()},
        "few": _FEW,
        "sizes": {"gaps": gaps, "ages": ages, "trend": trend},
    }
    folder = resources.files("birthright.reports.html")
    for name, file in (("style", "style.css"), ("script", "script.js")):
        text = (folder / file).read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        parts |= {name: Markup(text), f"{name}_hash": Markup(f"sha256-{digest}")}  # noqa: S704 - our own
    return parts
