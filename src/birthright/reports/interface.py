"""What an output format is: a function that writes a document to a text stream."""

from collections.abc import Callable
from typing import TextIO

from birthright.findings.model import Document

Renderer = Callable[[Document, TextIO], None]
