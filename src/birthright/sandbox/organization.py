"""The organization that the accounts belong to: its units, its members, their states and tags.

Everything follows from the seed and an account's place in line, so that ten thousand members take no
memory; only what was changed afterwards is kept.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from birthright.errors import UsageError
from birthright.sandbox.ids import digest

State = Literal["PENDING_ACTIVATION", "ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "CLOSED"]
Fields = Literal["both", "state", "status"]
STATES: tuple[State, ...] = ("PENDING_ACTIVATION", "ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "CLOSED")
USUAL_STATES: Mapping[State, int] = {"SUSPENDED": 1, "PENDING_CLOSURE": 1}  # of ten accounts and more
_LARGE = 10  # accounts
_ROOT = "Root"
# The units with their parents, and how many of twenty accounts lie in each.
_TREE = {"Security": _ROOT, "Workloads": _ROOT, "Sandbox": _ROOT, "Prod": "Workloads", "Dev": "Workloads"}
_FIRST = ("Prod", "Dev", "Security", "Sandbox")  # so that small organizations have some of each
_SPREAD = {"Prod": 9, "Dev": 6, "Sandbox": 3, "Security": 1, "Workloads": 1}
_NAMES = {"Security": "security", "Sandbox": "sandbox"}  # of accounts; the others are workloads
_OWNERS = ("payments", "platform", "search", "data", "mobile", "web")
_PRODUCTION = frozenset({"Prod", "Security"})
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_JOINED_FROM, _JOINED_TO = 200, 1_400  # days ago


@dataclass(frozen=True, slots=True)
class Unit:
    """An organizational unit, or the root. path: as Organizations writes it, with the root first.

    parent: the parent's id; empty for the root.
    """

    id: str
    name: str
    parent: str
    path: str


@dataclass(frozen=True, slots=True)
class MemberAccount:
    """An account as its organization knows it. joined_at: UTC, whole seconds. unit: where it lies."""

    account_id: str
    name: str
    email: str
    state: State
    joined_method: Literal["INVITED", "CREATED"]
    joined_at: datetime
    unit: Unit
    tags: Mapping[str, str]


class SandboxOrganization:
    """Accounts, of which the first is the management account and lies in the root.

    states: how many accounts are in a state other than ACTIVE; which ones depends on the seed.
    fields: whether answers hold `State` and `Status` of an account, or only one of them.
    delegates: the ids of the accounts that may list as the management account may.
    """

    def __init__(
        self, account_ids: Sequence[str], start: datetime, *, seed: int, partition: str, fields: Fields
    ) -> None:
        self.account_ids = account_ids
        self.management_id = account_ids[0]
        self.partition = partition
        self.fields = fields
        self.delegates: set[str] = set()
        self.id = f"o-{_name(10, 'organization', seed, self.management_id)}"
        self._start = start
        self._seed = seed
        self._states: dict[str, State] = {}
        self._spread = _FIRST + _shuffled(seed)
        self.units = self._units()
        self._by_name = {unit.name: unit for unit in self.units.values()}

    @property
    def root(self) -> Unit:
        """The root, in which all units lie."""
        return next(iter(self.units.values()))

    def set_state(self, account_id: str, state: State) -> None:
        """Put an account into a state; raises UsageError where there is no such account or state."""
        if account_id not in self or state not in STATES:
            raise UsageError(f"{account_id} cannot be {state}", f"states: {', '.join(STATES)}")
        self._states[account_id] = state

    def set_states(self, states: Mapping[State, int]) -> None:
        """Put so many member accounts into each state; the seed decides which."""
        wanted = [state for state, number in states.items() for _ in range(number)]
        members = range(1, len(self.account_ids))
        if len(wanted) > len(members):
            raise UsageError(f"there are no {len(wanted)} accounts besides the management account")
        chance = random.Random(f"states/{self._seed}")  # noqa: S311 - reproducible
        for number, state in zip(chance.sample(members, len(wanted)), wanted, strict=True):
            self.set_state(self.account_ids[number], state)

    def is_active(self, account_id: str) -> bool:
        """Whether nothing stands against entering an account; those outside are left alone."""
        return self._states.get(account_id, "ACTIVE") == "ACTIVE"

    def may_list(self, account_id: str) -> bool:
        """Whether an account is the management account or acts for it."""
        return account_id == self.management_id or account_id in self.delegates

    def __contains__(self, account_id: str) -> bool:
        return self._number(account_id) is not None

    def member(self, account_id: str) -> MemberAccount | None:
        """Return an account, None if it is not in the organization."""
        number = self._number(account_id)
        if number is None:
            return None
        own = digest("member", self._seed, account_id)
        unit = self._unit_of(number)
        name = "management" if number == 0 else f"{_NAMES.get(unit.name, 'workload')}-{number:04d}"
        days = _JOINED_TO if number == 0 else _JOINED_FROM + own[0] * (_JOINED_TO - _JOINED_FROM) // 256
        return MemberAccount(
            account_id,
            name,
            f"aws+{name}@example.com",
            self._states.get(account_id, "ACTIVE"),
            "INVITED" if number == 0 or own[1] < 32 else "CREATED",  # noqa: PLR2004 - one of eight
            self._start - timedelta(days=days, seconds=int.from_bytes(own[2:4], "big")),
            unit,
            {
                "env": "prod" if unit.name in _PRODUCTION else "dev",
                "owner": "platform" if number == 0 else _OWNERS[own[4] % len(_OWNERS)],
            },
        )

    def children(self, parent_id: str) -> list[Unit]:
        """Return the units right below a unit or the root."""
        return [unit for unit in self.units.values() if unit.parent == parent_id]

    def accounts_in(self, parent_id: str) -> Sequence[str]:
        """Return the ids of the accounts right in a unit or the root."""
        return self._accounts_by_unit.get(parent_id, ())

    @cached_property
    def _accounts_by_unit(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for number, account_id in enumerate(self.account_ids):
            found.setdefault(self._unit_of(number).id, []).append(account_id)
        return found

    def _unit_of(self, number: int) -> Unit:
        if number == 0:
            return self.root
        few, place = len(_FIRST), number - 1
        if place >= few:
            place = few + (place - few) % (len(self._spread) - few)
        return self._by_name[self._spread[place]]

    def _number(self, account_id: str) -> int | None:
        """Return an account's place in line; ids count up from the management account's."""
        if not account_id.isdecimal():
            return None
        number = int(account_id) - int(self.management_id)
        return number if 0 <= number < len(self.account_ids) else None

    def _units(self) -> dict[str, Unit]:
        suffix = _name(4, "root", self._seed, self.management_id)
        root = Unit(f"r-{suffix}", _ROOT, "", f"{self.id}/r-{suffix}/")
        made = {_ROOT: root}
        for name, parent in _TREE.items():
            unit_id = f"ou-{suffix}-{_name(8, name, self._seed, self.management_id)}"
            made[name] = Unit(unit_id, name, made[parent].id, f"{made[parent].path}{unit_id}/")
        return {unit.id: unit for unit in made.values()}


def usual_states(accounts: int) -> Mapping[State, int]:
    """Return the states of an organization of so many accounts where nothing else was asked for."""
    return USUAL_STATES if accounts >= _LARGE else {}


def _shuffled(seed: int) -> tuple[str, ...]:
    names = [name for name, times in _SPREAD.items() for _ in range(times)]
    random.Random(f"units/{seed}").shuffle(names)  # noqa: S311 - reproducible
    return tuple(names)


def _name(length: int, *parts: object) -> str:
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest(*parts)[:length])
