"""Hides access key ids in a bundle, in the facts first, so that what is judged from them is masked, too.

`AKIAIOSFODNN7EXAMPLE` becomes `AKIA************MPLE`. Two keys of one user that would look the same, or whose
order would change (it numbers keys made in the same second, and so is part of fingerprints), get a number:
`AKIA1***********MPLE`. User names are not masked: fingerprints rest on them.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from birthright.atomic import make_directories, write_file
from birthright.evidence.archive import AlteredError
from birthright.evidence.manifest import MANIFEST
from birthright.scans.record import File, ScanInfo, load_table
from birthright.waivers.file import WaiverEntry, parse_waivers, text_of

if TYPE_CHECKING:
    import pyarrow as pa

    from birthright.policies.engine import Engine

# AWS's prefixes of access keys, permanent and temporary.
_KEY_ID = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{12,124}(?![A-Za-z0-9])")
_MASKED_ID = re.compile(r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[0-9]*\*{2,124}[A-Z0-9]{4}")
_SHOWN = 4
_SHORTEST = 16  # characters of an access key id
_OF_USERS = """
    select account_id, user_name, created_at, access_key_id from access_keys
    where access_key_id is not null
    qualify count(*) over (partition by account_id, user_name) > 1
    order by account_id, user_name, access_key_id"""

# When a key was made, and its id.
_Key = tuple[datetime | None, str]


class Mask:
    """Masks ids; `numbered` are those that need a number."""

    def __init__(self, numbered: Mapping[str, str] | None = None) -> None:
        self._numbered = numbered or {}

    @classmethod
    def of(cls, engine: "Engine") -> "Mask":
        """Look through the keys of a scan."""
        rows = engine.rows(engine.select(_OF_USERS))
        numbered: dict[str, str] = {}
        for _, keys in groupby(rows, lambda row: row[:2]):
            numbered |= numbers([(made, key) for _, _, made, key in keys])
        return cls(numbered)

    def key(self, key: str) -> str:
        """Mask one id, whatever it looks like."""
        return self._numbered.get(key) or masked(key)

    def text(self, text: str) -> str:
        """Mask the ids in a text."""
        return _KEY_ID.sub(lambda match: self.key(match[0]), text)


def ids_in(engine: "Engine", text: str) -> str | None:
    """Return an id in a text that is one of the scan's access keys, or None: a page is shown as it ran."""
    values = {"ids": sorted({match[0] for match in _KEY_ID.finditer(text)})}
    sql = "select min(access_key_id) from access_keys where access_key_id in (select unnest($ids))"
    ((found,),) = engine.rows(engine.select(sql, values))
    return None if found is None else str(found)


def check_masked(folder: Path) -> None:
    """See that the facts in a scan's folder have no access key id in full. Raises AlteredError."""
    from birthright.policies.engine import Engine

    engine = Engine(folder)
    sql = "select count(*) from access_keys where access_key_id not like '%*%'"
    ((found,),) = engine.rows(engine.select(sql))
    if found:
        raise AlteredError(f"{MANIFEST} says that ids are masked, but {found} are not")


def masked(key: str, number: str = "") -> str:
    """Return the first and last four characters of an id; of a shorter one the first only."""
    last = key[-_SHOWN:] if len(key) >= _SHORTEST else ""
    stars = "*" * max(1, len(key) - _SHOWN - len(number) - len(last))
    return f"{key[:_SHOWN]}{number}{stars}{last}"


def parse_masked(data: bytes, origin: str) -> tuple[WaiverEntry, ...]:
    """Read a file of waivers in which ids may be masked. Raises UsageError.

    A star is no part of an id, so that a letter stands for it while the file is read.
    """
    stand_ins: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        name = f"{match[0][:-_SHOWN].replace('*', 'X')}{match[0][-_SHOWN:]}"
        stand_ins[name] = match[0]
        return name

    text = _MASKED_ID.sub(stand_in, text_of(data, origin))
    return tuple(_put_back(one, stand_ins) for one in parse_waivers(text.encode(), origin))


def _put_back(one: WaiverEntry, stand_ins: Mapping[str, str]) -> WaiverEntry:
    """Return a waiver with the masked ids where something stood for them."""
    names = re.compile("|".join(map(re.escape, stand_ins)) or "(?!)")
    fields = {
        name: names.sub(lambda match: stand_ins[match[0]], value)
        for name, value in msgspec.structs.asdict(one).items()
        if isinstance(value, str)
    }
    return msgspec.structs.replace(one, **fields)


def numbers(keys: Sequence[_Key]) -> dict[str, str]:
    """Return the numbered masks of one user's keys, given by id; nothing if they need none."""
    ids = sorted({key for _, key in keys})
    plain = Counter(map(masked, ids))
    if max(plain.values()) == 1 and all(map(_in_order, _by_second(keys))):
        return {}
    width = len(str(len(ids)))
    return {key: masked(key, f"{number:0{width}}") for number, key in enumerate(ids, 1)}


def _by_second(keys: Iterable[_Key]) -> list[list[str]]:
    seconds: dict[datetime | None, list[str]] = {}
    for made, key in keys:
        seconds.setdefault(made, []).append(key)
    return [*seconds.values()]


def _in_order(ids: list[str]) -> bool:
    return all(masked(one) < masked(other) for one, other in pairwise(sorted(ids)))


def mask_facts(files: Mapping[str, Sequence[Path]], info: ScanInfo, mask: Mask, folder: Path) -> ScanInfo:
    """Write masked copies of a scan's files into a folder; return what its scan.json has to say then.

    A scan of the first version, which names no files, keeps their names. Raises StoreError.
    """
    named = bool(info.parts)
    changed = {
        (table, path.name): _mask_file(table, path, mask, folder, named=named)
        for table, paths in files.items()
        for path in paths
    }
    parts = tuple(
        msgspec.structs.replace(
            part, files={table: changed[table, file.name] for table, file in part.files.items()}
        )
        for part in info.parts
    )
    extra = msgspec.json.decode(mask.text(msgspec.json.encode(info.extra).decode()))
    accounts = changed["accounts", info.accounts.name] if info.accounts else None
    return msgspec.structs.replace(info, parts=parts, accounts=accounts, extra=extra)


def _mask_file(table: str, path: Path, mask: Mask, folder: Path, *, named: bool) -> File:
    """Write one file; its name's end is its digest, and must not be that of what was masked."""
    from birthright.facts.schema import TABLES
    from birthright.scans.writer import parquet_of

    rows = _masked_rows(table, load_table(TABLES[table], [path]), mask)
    data = parquet_of(rows)
    digest = hashlib.sha256(data).hexdigest()
    name = f"{path.stem.rpartition('-')[0]}-{digest[:12]}.parquet" if named else path.name
    make_directories(folder / table)
    write_file(folder / table / name, data)
    return File(name, rows.num_rows, len(data), digest)


def _masked_rows(table: str, rows: "pa.Table", mask: Mask) -> "pa.Table":
    import pyarrow as pa

    changes = {"access_keys": ("access_key_id", mask.key), "coverage": ("detail", mask.text)}
    if table not in changes:
        return rows
    column, change = changes[table]
    place = rows.schema.get_field_index(column)
    values = [None if value is None else change(value) for value in rows.column(place).to_pylist()]
    return rows.set_column(place, rows.schema.field(place), pa.array(values, pa.string()))
