"""Whether a file could be written, asked before a key is made for it."""

import os
from pathlib import Path

from birthright.errors import HandoverError


def check_writable(path: Path) -> None:
    """Refuse a file whose folder does not exist and cannot be made, or is closed. Raises HandoverError."""
    folder = next(above for above in path.absolute().parents if os.path.lexists(above))
    if not folder.is_dir():
        raise HandoverError(f"cannot write {path}: {folder} is no folder", "choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HandoverError(
            f"cannot write {path}: you may not write to {folder}",
            "choose another place or change its permissions",
        )
