"""Markdown of policy pages as HTML that cannot do anything: no HTML of its own, no images, web links only."""

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.token import Token
    from markupsafe import Markup

_HEADING = 3  # a page's own `###` becomes an h4: it stands under the policy's h3


class Pages:
    """Makes HTML from the Markdown of pages."""

    def __init__(self) -> None:
        self._parser = _parser()

    def html(self, markdown: str) -> "Markup":
        """Return the Markdown as HTML."""
        from markupsafe import Markup

        return Markup(self._parser.render(markdown))  # noqa: S704 - the parser escapes, see _parser


def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.validateLink = _is_web  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _link)
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    return parser


def _is_web(url: str) -> bool:
    return url.lower().startswith(("https://", "http://"))


def _link(
    renderer: "RendererProtocol",
    tokens: Sequence["Token"],
    place: int,
    options: Any,  # noqa: ANN401 - as the parser calls it
    _: MutableMapping[str, Any],
) -> str:
    tokens[place].attrSet("rel", "noreferrer")
    return renderer.renderToken(tokens, place, options, {})  # type: ignore[attr-defined, no-any-return]


def _heading(
    renderer: "RendererProtocol",
    tokens: Sequence["Token"],
    place: int,
    options: Any,  # noqa: ANN401 - as the parser calls it
    _: MutableMapping[str, Any],
) -> str:
    tokens[place].tag = f"h{max(int(tokens[place].tag[1:]), _HEADING) + 1}"
    return renderer.renderToken(tokens, place, options, {})  # type: ignore[attr-defined, no-any-return]
