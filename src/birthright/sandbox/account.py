"""The state of one account: users, keys, roles and the credential report."""

from collections import ChainMap, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from threading import RLock
from typing import NamedTuple

from birthright.sandbox.ids import access_key_id_of, identifier, secret_of
from birthright.sandbox.secret_state import SecretState, StoredParameter, StoredSecret

ROOT_NAME = "<root_account>"
ACTIVE, INACTIVE, EXPIRED = "Active", "Inactive", "Expired"
SETTABLE = (ACTIVE, INACTIVE)  # EXPIRED is read, never written
_FILLED = ("_users", "_credentials", "_root", "_report", "_folded", "_serial")
_filling = RLock()  # a sandbox answers in one thread while tests look at it from another
KEYS_PER_USER = 2  # IAM's quota AccessKeysPerUser, active or not


class KeyUse(NamedTuple):
    """One use of a key: when (UTC, whole seconds; None is never), in which Region, of which service."""

    at: datetime | None = None
    region: str = "N/A"
    service: str = "N/A"


@dataclass(slots=True)
class Key:
    """A long-lived access key. Times are UTC, whole seconds.

    `slot` is the report's place for it, 1 or 2; 0 is a third key, which the report does not show.
    `allow` None allows everything; otherwise patterns such as `iam:List*`. Before `usable_from` the
    key does not authenticate yet (IAM is eventually consistent). `earlier_uses` is what is shown while
    the last use is not; None is nothing. `given_secret` is the secret where it does not follow from
    the id.
    """

    access_key_id: str
    user_name: str
    created_at: datetime
    status: str = ACTIVE
    slot: int = 1
    last_used_at: datetime | None = None
    last_used_region: str = "N/A"
    last_used_service: str = "N/A"
    allow: tuple[str, ...] | None = None
    usable_from: datetime | None = None
    earlier_uses: deque[KeyUse] | None = None
    seed: int = 0
    given_secret: str = field(default="", repr=False)

    @property
    def secret(self) -> str:
        """The secret access key."""
        return self.given_secret or secret_of(self.seed, self.access_key_id)

    @property
    def last_use(self) -> KeyUse:
        """The last use that was recorded, shown already or not."""
        return KeyUse(self.last_used_at, self.last_used_region, self.last_used_service)


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change of a user's keys that listings may not show yet; `before` is the status, empty if new."""

    at: datetime
    key: Key
    before: str


@dataclass(slots=True)
class Login:
    """A console password. `last_used_at` None is the report's `no_information`."""

    created_at: datetime
    last_used_at: datetime | None = None


@dataclass(slots=True)
class Certificate:
    """A signing certificate, as far as the report shows it."""

    created_at: datetime
    active: bool = True


@dataclass(slots=True)
class User:
    """An IAM user, or the account's root user under the report's name `<root_account>`."""

    name: str
    user_id: str
    arn: str
    created_at: datetime
    path: str = "/"
    login: Login | None = None
    mfa: bool = False
    keys: dict[str, Key] = field(default_factory=dict)
    certificates: list[Certificate] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    made_keys: int = 0
    changes: list[PendingChange] = field(default_factory=list)

    @property
    def is_root(self) -> bool:
        """Whether this is the account's root user."""
        return self.name == ROOT_NAME


@dataclass(slots=True)
class SandboxRole:
    """A role that can be assumed; `allow` as for a key, `external_id` asked for where not empty.

    path: `/`, or more, as in `/security/`. longest: seconds, the most a session of it may last.
    """

    name: str
    allow: tuple[str, ...] | None = None
    external_id: str = ""
    path: str = "/"
    longest: int = 3600


class ReportTimes(NamedTuple):
    """When a report was generated, and when it may first be fetched (UTC)."""

    generated_at: datetime
    ready_at: datetime


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """One credential report: base64 CSV, generated at, and when it may first be fetched (UTC)."""

    content: str
    generated_at: datetime
    ready_at: datetime

    @property
    def times(self) -> ReportTimes:
        """Its two instants."""
        return ReportTimes(self.generated_at, self.ready_at)


class SandboxAccount:
    """One account.

    plain_ids: the ids of its keys do not tell the account, so that it has to be in memory to find them.
    asked_report: its report was asked for, and was not there from the start. report_times: of its report;
    unlike everything else that follows from the users, they can be read without making these.
    """

    def __init__(
        self,
        account_id: str,
        created_at: datetime,
        *,
        partition: str = "aws",
        seed: int = 0,
        plain_ids: bool = False,
    ) -> None:
        self.account_id = account_id
        self.plain_ids = plain_ids
        self.partition = partition
        self.seed = seed
        self._users: dict[str, User] = {}
        self._credentials: dict[str, Key] = {}
        self.roles: dict[str, SandboxRole] = {}
        self._report: SandboxReport | None = None
        self.report_times: ReportTimes | None = None
        self.asked_report = False
        self._build: Callable[[], SandboxAccount] | None = None
        self.secret_states: dict[str, SecretState] = {}
        self._root = User(ROOT_NAME, account_id, self.arn("root"), created_at)
        self._folded: set[str] = set()
        self._sorted: list[str] | None = None
        self._serial = 0

    def arn(self, resource: str, service: str = "iam") -> str:
        """Return the ARN of a resource of this account in its partition."""
        return f"arn:{self.partition}:{service}::{self.account_id}:{resource}"

    def fill_later(self, build: "Callable[[], SandboxAccount]", report_times: ReportTimes | None) -> None:
        """Take users, keys and report from what `build` gives, when they are first looked at."""
        self._build, self.report_times = build, report_times

    def _fill(self) -> None:
        """Make the users, where that was put off."""
        if self._build is None:
            return
        with _filling:
            if self._build is not None:
                other = self._build()
                for name in _FILLED:
                    setattr(self, name, getattr(other, name))
                self._build = None

    @property
    def users(self) -> dict[str, User]:
        """The users by name, root apart."""
        self._fill()
        return self._users

    @property
    def root(self) -> User:
        """The root user."""
        self._fill()
        return self._root

    @property
    def credentials(self) -> dict[str, Key]:
        """The access keys by id, root's too."""
        self._fill()
        return self._credentials

    @property
    def report(self) -> SandboxReport | None:
        """The credential report."""
        self._fill()
        return self._report

    @report.setter
    def report(self, report: SandboxReport | None) -> None:
        self._fill()
        self._report = report
        self.report_times = report.times if report is not None else None

    @property
    def secrets(self) -> ChainMap[str, StoredSecret]:
        """The secrets of all Regions by name."""
        return ChainMap(*(state.secrets for state in self.secret_states.values()))

    @property
    def parameters(self) -> ChainMap[str, StoredParameter]:
        """The parameters of all Regions by name."""
        return ChainMap(*(state.parameters for state in self.secret_states.values()))

    def secret_state(self, region: str) -> SecretState:
        """Return what is kept in one Region."""
        return self.secret_states.setdefault(region, SecretState())

    def names(self) -> list[str]:
        """Return the user names in the order ListUsers gives them."""
        if self._sorted is None:
            self._sorted = sorted(self.users)
        return self._sorted

    def has(self, name: str) -> bool:
        """Whether the name is taken; IAM compares user names without case."""
        self._fill()
        return name.casefold() in self._folded

    def add_user(self, name: str, created_at: datetime, path: str = "/") -> User:
        """Add a user who has nothing yet."""
        user_id = identifier("AIDA", self.seed, self.account_id, name, self._next())
        user = User(name, user_id, self.arn(f"user{path}{name}"), created_at, path)
        self.users[name] = user
        self._folded.add(name.casefold())
        self._sorted = None
        return user

    def remove_user(self, user: User) -> None:
        """Remove a user and whatever the user still has."""
        for key in list(user.keys.values()):
            self.remove_key(user, key)
        del self.users[user.name]
        self._folded.discard(user.name.casefold())
        self._sorted = None

    def add_key(self, user: User, created_at: datetime, access_key_id: str = "") -> Key:
        """Add an active key in the report's first free slot (slot 1 is not the older key)."""
        user.made_keys += 1
        access_key_id = access_key_id or self._new_key_id(user)
        key = Key(access_key_id, user.name, created_at, seed=self.seed)
        key.slot = self._free_slot(user.keys.values())
        user.keys[access_key_id] = key
        self.credentials[access_key_id] = key
        return key

    def remove_key(self, user: User, key: Key) -> None:
        """Remove a key; it stops to authenticate at once."""
        del user.keys[key.access_key_id]
        del self.credentials[key.access_key_id]

    def user_of(self, key: Key) -> User:
        """Return who owns the key."""
        return self.root if key.user_name == ROOT_NAME else self.users[key.user_name]

    def _new_key_id(self, user: User) -> str:
        """Return an id that no other key has here; 39 bits are few enough for two users to meet."""
        if self.plain_ids:
            return identifier("AKIA", self.seed, self.account_id, user.name, user.user_id, user.made_keys)
        parts = (self.seed, self.account_id, user.user_id, user.made_keys)
        candidates = (access_key_id_of("AKIA", self.account_id, *parts, again) for again in count())
        return next(found for found in candidates if found not in self.credentials)

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    @staticmethod
    def _free_slot(keys: Iterable[Key]) -> int:
        taken = {key.slot for key in keys}
        return next((slot for slot in (1, 2) if slot not in taken), 0)
