"""A real browser for tests: headless Chromium, without network, and what it complains about."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# Said by whoever runs the tests where a browser has to be: a test that is skipped proves nothing.
_REQUIRED = os.environ.get("BIRTHRIGHT_BROWSER") == "required"
_NAMED = os.environ.get("BIRTHRIGHT_CHROMIUM")
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-sync",
)
Scheme = Literal["light", "dark"]


def tool(*names: str) -> str:
    """Return the path of the first of these programs that is there.

    Skips the test where there is none, or fails it where a browser is required.
    """
    found = next(filter(None, map(shutil.which, names)), None)
    if found:
        return found
    reason = f"not installed: {' or '.join(names)}"
    if _REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def launched() -> Iterator[Browser]:
    """Run a browser for the length of a block."""
    path = _NAMED or tool(*_NAMES)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_QUIET)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One page, opened from disk, and everything it asked for or complained about."""

    def __init__(self, browser: Browser, scheme: Scheme = "light", width: int = 1280) -> None:
        self.page: Page = browser.new_page(
            color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        self.files: set[str] = set()
        self.requests: list[str] = []
        self.troubles: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", self._dismiss)
        self.page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) =>"
            " console.error('CSP', event.violatedDirective, event.blockedURI, event.sourceFile))"
        )

    def open(self, file: Path, fragment: str = "") -> Page:
        """Go to a file."""
        self.files.add(file.as_uri())
        self.page.goto(f"{file.as_uri()}{fragment}")
        return self.page

    def close(self) -> None:
        """Leave it."""
        self.page.close()

    def _dismiss(self, dialog: Any) -> None:  # noqa: ANN401 - Playwright's own
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()


def axe_source() -> str:
    """Return the text of axe-core, which judges accessibility."""
    spec = find_spec("axe_playwright_python")
    assert spec
    assert spec.origin
    return (Path(spec.origin).parent / "axe.min.js").read_text("utf-8")


def accessibility_violations(page: Page, source: str) -> Sequence[str]:
    """Run axe-core on a page, past the page's own rules, which stay as they are; return what it found."""
    page.evaluate(source)
    found: list[dict[str, Any]] = page.evaluate("axe.run().then((results) => results.violations)")
    return [f"{one['id']}: {node['html'][:200]}: {node.get('failureSummary', '')}"
            for one in found for node in one["nodes"]]  # fmt: skip
