"""What an output format is: a function that writes a report to a text stream."""

from collections.abc import Callable, Mapping
from typing import TextIO

import msgspec

from birthright.findings.model import Document
from birthright.policies.page import Page


class Report(msgspec.Struct, frozen=True):
    """What a report is made from: all that a scan says, and the pages that judged it, by policy.

    A page may be missing: a document from elsewhere may have been judged by somebody's own.
    """

    document: Document
    pages: Mapping[str, Page] = {}


Renderer = Callable[[Report, TextIO], None]
