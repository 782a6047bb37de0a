"""The HTML report of 5,000 findings: the process beside the JSON one, its size, and filtering it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import BIRTHRIGHT, Row, run, sandbox

_USERS = "3100"  # they make 5,000 findings and some
_RUNS = 5
_FILTERED = """(text) => new Promise((done) => {
    const field = document.getElementById('q');
    field.value = text;
    const began = performance.now();
    field.dispatchEvent(new Event('input'));
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
})"""
_TEXTS = ("a", "user-1", "AKIA", "unused", "no such thing", "")


def rows() -> Iterator[Row]:
    """Judge a saved scan into both formats, in turn; of each the fastest process counts, from start to end.

    What slows down the others is what else runs on the machine.
    """
    with tempfile.TemporaryDirectory() as folder, sandbox("--users", _USERS) as box:
        environment = {**box.environment, "BIRTHRIGHT_STORE": f"{folder}/store"}
        page, document = Path(folder, "report.html"), Path(folder, "report.json")
        run([BIRTHRIGHT, "scan", "-q", "-o", str(document)], environment)
        again = [BIRTHRIGHT, "scan", "--from", "latest", "-o"]
        pairs = [
            (run([*again, str(page)], environment), run([*again, str(document)], environment))
            for _ in range(_RUNS)
        ]
        html, json = (min(runs, key=lambda one: one.wall) for runs in zip(*pairs, strict=True))
        count = document.read_text("utf-8").count('"fingerprint"')
        yield Row(f"HTML, {count:,} findings: wall", f"{html.wall:.2f} s", "2 s", html.wall / 2, 1.0)
        yield Row(
            "CPU to the JSON format (no limit)", _s(html.cpu), _s(json.cpu), html.cpu / json.cpu, float("inf")
        )
        size = page.stat().st_size / 1e6
        yield Row("size", f"{size:.2f} MB", "5 MB", size / 5, 1.0)
        yield Row("peak memory", f"{html.peak:.0f} MiB", f"{json.peak:.0f} MiB", html.peak / json.peak, 2.0)
        slowest = max(_filtering(page))
        yield Row("the slowest filter, to the next frame", f"{slowest:.0f} ms", "100 ms", slowest / 100, 1.0)


def _filtering(page: Path) -> list[float]:
    """Type several things into the search field; return how long each took at best, in milliseconds."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("BIRTHRIGHT_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise SystemExit(f"there is no browser: none of {', '.join(names)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-quic"])
        tab = browser.new_page()
        tab.goto(page.as_uri())
        times = [[float(tab.evaluate(_FILTERED, text)) for text in _TEXTS] for _ in range(_RUNS)]
        browser.close()
    return [min(one) for one in zip(*times, strict=True)]


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s"


if __name__ == "__main__":
    for row in rows():
        print(row.what, row.measured, "of", row.against, "holds" if row.holds else "DOES NOT HOLD")
