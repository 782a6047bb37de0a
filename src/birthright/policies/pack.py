"""The pages: those that come with birthright, and those in a folder of the user's own."""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NoReturn

from birthright.errors import PageError, UsageError
from birthright.policies.page import Page, parse_page, read_page


def load_pack(extra: Path | None = None, ids: Iterable[str] = ()) -> list[Page]:
    """Return the built-in pages and those of the folder `extra`, by id; with `ids` only these.

    Reading a page costs 2 ms: each is read once, those not wanted never. Raises UsageError, PageError.
    """
    built_in = [file.name.removesuffix(".md") for file in _folder().iterdir() if file.name.endswith(".md")]
    own = read_folder(extra) if extra else []
    for page in own:
        if page.id in built_in:
            _refuse_double(page, f"pack/{page.id}.md")
    wanted = set(ids)
    _check_known(wanted, {*built_in, *(page.id for page in own)})
    pages = [_built_in_page(name) for name in built_in if not wanted or name in wanted]
    return _by_id([*pages, *(page for page in own if not wanted or page.id in wanted)])


def read_folder(folder: Path) -> list[Page]:
    """Read every page (`*.md`) of a folder, or the one page that `folder` is, by id."""
    if folder.is_file():
        return [read_page(folder)]
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder", "it should hold policy pages, ID.md")
    files = sorted(folder.glob("*.md"))
    if not files:
        raise UsageError(f"{folder}: there are no policy pages in it", "a page's file is ID.md")
    return _by_id(map(read_page, files))


def choose(pages: Sequence[Page], ids: Iterable[str]) -> list[Page]:
    """Return the pages with these ids, in the pages' order; all of them if no id is given."""
    wanted = set(ids)
    known = {page.id for page in pages}
    _check_known(wanted, known)
    return [page for page in pages if not wanted or page.id in wanted]


def _folder() -> Traversable:
    return resources.files("birthright.policies") / "pack"


@cache
def _built_in_page(name: str) -> Page:
    """Read a page that comes with birthright, once in a process."""
    return parse_page((_folder() / f"{name}.md").read_text("utf-8"), f"pack/{name}.md")


def _by_id(pages: Iterable[Page]) -> list[Page]:
    """Sort the pages; two of one id are refused."""
    found: dict[str, Page] = {}
    for page in pages:
        if page.id in found:
            _refuse_double(page, found[page.id].origin)
        found[page.id] = page
    return [found[name] for name in sorted(found)]


def _refuse_double(page: Page, other: str) -> NoReturn:
    """Refuse a second page of one id."""
    raise PageError(
        f"{page.origin}: policy {page.id} is already defined by {other}", "give your page an id of its own"
    )


def _check_known(wanted: set[str], known: set[str]) -> None:
    for unknown in sorted(wanted - known):
        raise UsageError(f"there is no policy {unknown!r}", _nearest(unknown, known))


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "birthright policy list names them all"
