"""YAML that people write, read strictly: no key twice, and every fault with its line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from birthright.text import printable

if TYPE_CHECKING:
    import yaml


@contextmanager
def faults(error: Callable[[str], Exception], where: str, first_line: int = 1) -> Iterator[None]:
    """Raise `error` for what YAML refuses. first_line: the number of the text's first line in its file."""
    import yaml

    try:
        yield
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line = f", line {mark.line + first_line}" if mark else ""
        raise error(f"{where}{line}: {fault.problem or fault.context}") from fault
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError, ValueError) as fault:
        raise error(f"{where}: {printable(' '.join(str(fault).split()))}") from fault


def loader() -> "type[yaml.SafeLoader]":
    """Return the safe loader; the one in C, where it was built, is ten times as fast."""
    import yaml

    kind: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return kind


def root_of(text: str) -> "yaml.Node | None":
    """Return the root node; None of an empty text. Raises YAMLError, also for a key written twice."""
    import yaml

    root = yaml.compose(text, Loader=loader())
    if root is not None:
        _refuse_repeated_keys(root)
    return root


def load(text: str) -> object:
    """Return plain values. Raises YAMLError, also for a key written twice; ValueError."""
    root = root_of(text)
    reader = loader()("")
    try:
        return None if root is None else reader.construct_document(root)
    finally:
        reader.dispose()


def _refuse_repeated_keys(root: "yaml.Node") -> None:
    """YAML would let the last one win in silence."""
    import yaml

    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        # An alias is the same node again: looking once is enough, and ends.
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in keys:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} is written twice", key.start_mark
                    )
                keys.add(str(key.value))
                waiting.append(value)
        else:
            waiting.extend(node.value)
