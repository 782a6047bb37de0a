"""The state of one account: users, keys, roles, sessions and the credential report."""

import base64
import hashlib
from collections import ChainMap, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from birthright.sandbox.shelf import Parameter, Shelf, StoredSecret

ROOT_NAME = "<root_account>"
KEYS_PER_USER = 2  # IAM's quota AccessKeysPerUser, active or not


class Use(NamedTuple):
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
    the last use is not.
    """

    access_key_id: str
    secret: str = field(repr=False)
    user_name: str
    created_at: datetime
    status: str = "Active"
    slot: int = 1
    last_used_at: datetime | None = None
    last_used_region: str = "N/A"
    last_used_service: str = "N/A"
    allow: tuple[str, ...] | None = None
    usable_from: datetime | None = None
    earlier_uses: deque[Use] = field(default_factory=deque)

    @property
    def last_use(self) -> Use:
        """The last use that was recorded, shown already or not."""
        return Use(self.last_used_at, self.last_used_region, self.last_used_service)


@dataclass(frozen=True, slots=True)
class Change:
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
    changes: list[Change] = field(default_factory=list)

    @property
    def is_root(self) -> bool:
        """Whether this is the account's root user."""
        return self.name == ROOT_NAME


@dataclass(slots=True)
class Role:
    """A role that can be assumed; `allow` as for a key, `external_id` asked for where not empty."""

    name: str
    allow: tuple[str, ...] | None = None
    external_id: str = ""


@dataclass(slots=True)
class Session:
    """Temporary credentials of an assumed role; `expires_at` is judged by the sandbox's clock."""

    access_key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    role: Role
    name: str
    expires_at: datetime


@dataclass(slots=True)
class Report:
    """One credential report: base64 CSV, generated at, and when it may first be fetched (UTC)."""

    content: str
    generated_at: datetime
    ready_at: datetime


def digest(*parts: object) -> bytes:
    """Return 32 bytes that depend on nothing but `parts`."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=32).digest()


def identifier(prefix: str, *parts: object) -> str:
    """Return an id as AWS forms them: a four-letter prefix and 16 characters of base 32."""
    return prefix + base64.b32encode(digest(*parts)).decode()[:16]


class Account:
    """One account. `index` is shared by all accounts and finds the account of any credential id."""

    def __init__(
        self,
        account_id: str,
        created_at: datetime,
        index: dict[str, "Account"],
        *,
        partition: str = "aws",
        seed: int = 0,
    ) -> None:
        self.account_id = account_id
        self.partition = partition
        self.seed = seed
        self.users: dict[str, User] = {}
        self.credentials: dict[str, Key | Session] = {}
        self.roles: dict[str, Role] = {}
        self.report: Report | None = None
        self.shelves: dict[str, Shelf] = {}
        self.root = User(ROOT_NAME, account_id, self.arn("root"), created_at)
        self._index = index
        self._folded: set[str] = set()
        self._sorted: list[str] | None = None
        self._serial = 0

    def arn(self, resource: str, service: str = "iam") -> str:
        """Return the ARN of a resource of this account in its partition."""
        return f"arn:{self.partition}:{service}::{self.account_id}:{resource}"

    @property
    def secrets(self) -> ChainMap[str, StoredSecret]:
        """The secrets of all Regions by name."""
        return ChainMap(*(shelf.secrets for shelf in self.shelves.values()))

    @property
    def parameters(self) -> ChainMap[str, Parameter]:
        """The parameters of all Regions by name."""
        return ChainMap(*(shelf.parameters for shelf in self.shelves.values()))

    def shelf(self, region: str) -> Shelf:
        """Return what is kept in one Region."""
        return self.shelves.setdefault(region, Shelf())

    def names(self) -> list[str]:
        """Return the user names in the order ListUsers gives them."""
        if self._sorted is None:
            self._sorted = sorted(self.users)
        return self._sorted

    def has(self, name: str) -> bool:
        """Whether the name is taken; IAM compares user names without case."""
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
        parts = (self.seed, self.account_id, user.name, user.user_id, user.made_keys)
        access_key_id = access_key_id or identifier("AKIA", *parts)
        key = Key(access_key_id, self._secret(access_key_id), user.name, created_at)
        key.slot = self._free_slot(user.keys.values())
        user.keys[access_key_id] = key
        self._enter(key)
        return key

    def remove_key(self, user: User, key: Key) -> None:
        """Remove a key; it stops to authenticate at once."""
        del user.keys[key.access_key_id]
        del self.credentials[key.access_key_id]
        del self._index[key.access_key_id]

    def add_session(self, role: Role, name: str, expires_at: datetime) -> Session:
        """Add temporary credentials of a role."""
        serial = self._next()
        access_key_id = identifier("ASIA", self.seed, self.account_id, role.name, serial)
        token = base64.b64encode(digest("token", self.seed, access_key_id) * 4).decode()
        secret = self._secret(access_key_id)
        session = Session(access_key_id, secret, token, role, name, expires_at)
        self._enter(session)
        return session

    def user_of(self, key: Key) -> User:
        """Return who owns the key."""
        return self.root if key.user_name == ROOT_NAME else self.users[key.user_name]

    def _enter(self, credential: Key | Session) -> None:
        self.credentials[credential.access_key_id] = credential
        self._index[credential.access_key_id] = self

    def _secret(self, access_key_id: str) -> str:
        return base64.b64encode(digest("secret", self.seed, access_key_id)).decode()[:40]

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    @staticmethod
    def _free_slot(keys: Iterable[Key]) -> int:
        taken = {key.slot for key in keys}
        return next((slot for slot in (1, 2) if slot not in taken), 0)
