"""What Secrets Manager and Parameter Store keep for an account in one Region. Times are UTC."""

from dataclasses import dataclass, field
from datetime import datetime

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"


@dataclass(slots=True)
class SecretVersion:
    """One version of a secret; without stages it is deprecated, but still there."""

    version_id: str
    value: str = field(repr=False)
    created_at: datetime
    stages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class StoredSecret:
    """A secret; `deleted_at` is when a scheduled deletion takes place."""

    name: str
    arn: str
    created_at: datetime
    changed_at: datetime
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[str, SecretVersion] = field(default_factory=dict)
    deleted_at: datetime | None = None

    def staged(self, stage: str) -> SecretVersion | None:
        """Return the version that carries the stage."""
        return next((one for one in self.versions.values() if stage in one.stages), None)

    def value(self, stage: str = CURRENT) -> str | None:
        """Return the value at a stage, None if there is none."""
        version = self.staged(stage)
        return version.value if version else None

    def move(self, stage: str, to: SecretVersion) -> None:
        """Move a stage; AWSPREVIOUS goes where AWSCURRENT was taken from."""
        old = self.staged(stage)
        if old is to:
            return
        if old is not None:
            old.stages.discard(stage)
        to.stages.add(stage)
        if stage == CURRENT and old is not None:
            self.move(PREVIOUS, old)


@dataclass(slots=True)
class StoredParameter:
    """A parameter with all its values, the newest last; version numbers count from 1."""

    name: str
    arn: str
    kind: str
    changed_at: datetime
    changed_by: str
    values: list[str] = field(default_factory=list, repr=False)
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def value(self) -> str:
        """The newest value."""
        return self.values[-1]

    @property
    def version(self) -> int:
        """The newest version's number."""
        return len(self.values)


@dataclass(slots=True)
class SecretState:
    """The secrets and the parameters of one account in one Region, by name."""

    secrets: dict[str, StoredSecret] = field(default_factory=dict)
    parameters: dict[str, StoredParameter] = field(default_factory=dict)
