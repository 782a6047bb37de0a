"""The pages: those that come with birthright, and those in a folder of the user's own."""

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from birthright.errors import PageError, UsageError
from birthright.policies.page import Page, parse_page, read_page


def load_pack(extra: Path | None = None) -> list[Page]:
    """Return the built-in pages and those of the folder `extra`, by id. Raises UsageError, PageError."""
    pages = [*_built_in(), *(read_folder(extra) if extra else ())]
    return _by_id(pages)


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
    for unknown in sorted(wanted - known):
        raise UsageError(f"there is no policy {unknown!r}", _nearest(unknown, known))
    return [page for page in pages if not wanted or page.id in wanted]


def _built_in() -> list[Page]:
    folder = resources.files("birthright.policies") / "pack"
    files = (file for file in folder.iterdir() if file.name.endswith(".md"))
    return [parse_page(file.read_text("utf-8"), f"pack/{file.name}") for file in files]


def _by_id(pages: Iterable[Page]) -> list[Page]:
    """Sort the pages. Two of one id are refused: which of them judged would be a matter of luck."""
    found: dict[str, Page] = {}
    for page in pages:
        if page.id in found:
            raise PageError(
                f"{page.origin}: policy {page.id} is already defined by {found[page.id].origin}",
                "give your page an id of its own",
            )
        found[page.id] = page
    return [found[name] for name in sorted(found)]


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "birthright policy list names them all"
