"""Who lives in a sandbox account: the named cases, then a realistic crowd. Deterministic by seed."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from birthright.sandbox.account import (
    INACTIVE,
    Certificate,
    Key,
    Login,
    ReportTimes,
    SandboxAccount,
    SandboxRole,
    User,
)
from birthright.sandbox.cases import CASES, ROOT, KeyCase, UserCase, Verdict
from birthright.sandbox.ids import digest
from birthright.sandbox.options import SandboxOptions
from birthright.sandbox.report_csv import make_report

SCANNER = "birthright-scanner"
SCANNER_KEY = "AKIASANDBOX000000001"
SCANNER_SECRET = "sandbox/secret/known/to/everyone/0000001"  # noqa: S105 - public on purpose
ROLES = ("birthright", "birthright-retire", "OrganizationAccountAccessRole")
AUDIT, AUDIT_PATH = "birthright-audit", "/security/"  # the role that has a path
REPORT_AGE = timedelta(hours=2)
_DAY = timedelta(days=1)
_OLD = 8  # days; newer events keep their exact distance from the start
_MORNING = 20_000  # seconds by which older events are spread, well below a day

# Shares of the crowd, after what public reports on IAM users show; tuned for looks, not for truth.
_WITH_KEY = 0.70
_BORN = 0.08 / _WITH_KEY
_CONSOLE = 0.25
_MFA = 0.6
_TWO_KEYS = 0.12
_INACTIVE = 0.1
_USED = 0.75
_SERVICES = ("s3", "ec2", "sts", "dynamodb", "sqs", "ecr", "ses", "cloudwatch")
_REGIONS = ("us-east-1", "eu-west-1", "us-west-2", "ap-southeast-1")
_RECENT = 86_400  # seconds: the crowd did nothing younger than the report
_MEAN_USE = 2_000_000  # seconds since the last use, on average
_WORDS = ("deploy", "backup", "billing", "etl", "mailer", "metrics", "uploader", "vendor")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the policy `access-key-created-with-user` must say of one key.

    access_key_id: the true one; root's cannot be read by anyone but root.
    used_at: when the key was truly used last (UTC), also where the cached report is older; None is
        never.
    optional: the key is newer than a report that shows its user without keys, so that whoever asks
        only for the keys of users who have some does not see it.
    """

    user_name: str
    access_key_id: str
    verdict: Verdict
    why: str
    used_at: datetime | None = None
    optional: bool = False


@dataclass(slots=True)
class Built:
    """A populated account, and what is expected of root's and the named users' keys."""

    account: SandboxAccount
    expected: list[Expected] = field(default_factory=list)


class Population:
    """Builds accounts as they are at `start` (UTC).

    Of the options count `users` (besides the scanner; the named cases first, in their order, then the
    crowd), `seed`, `partition`, `cases` (False leaves the named cases and root's key out), `report`,
    `report_style` and `longest_session`.
    """

    def __init__(self, options: SandboxOptions, start: datetime) -> None:
        self._options = options
        self._start = start

    def account(self, account_id: str, *, scanner: bool = True) -> Built:
        """Build an account, with its report two hours old unless there is to be none.

        `scanner` adds the user who scans; only one account can have that user, as the key's id is always
        the same; its key ids are the plain ones that the documents show.
        First the account as the report saw it, then the report, then what happened since.
        """
        options, start = self._options, self._start
        account = self._empty(account_id, plain_ids=scanner)
        if scanner:
            _add_scanner(account, start, options.allow)
        cases = CASES[: options.users] if options.cases else ()
        scene = _Scene(account, start, Built(account))
        if options.cases:
            scene.before_report(account.root, ROOT)
        scene.play([case for case in cases if case.since != "created"])
        chance = random.Random(f"crowd/{options.seed}/{account_id}")  # noqa: S311 - reproducible
        for number in range(len(cases), options.users):
            _bystander(account, start, number, chance)
        if options.report == "cached":
            account.report = make_report(account, start - REPORT_AGE, 0, options.report_style)
        scene.afterwards(cases)
        return scene.built

    def account_later(self, account_id: str) -> SandboxAccount:
        """Return such an account without a scanner, whose users are made when they are first looked at."""
        account = self._empty(account_id)
        reported_at = self._start - REPORT_AGE
        account.fill_later(
            lambda: self.account(account_id, scanner=False).account,
            ReportTimes(reported_at, reported_at) if self._options.report == "cached" else None,
        )
        return account

    def _empty(self, account_id: str, *, plain_ids: bool = False) -> SandboxAccount:
        """Return an account with its root user and its roles."""
        options = self._options
        account = SandboxAccount(
            account_id,
            self._start - timedelta(days=ROOT.age),
            partition=options.partition,
            seed=options.seed,
            plain_ids=plain_ids,
        )
        roles = [SandboxRole(name, longest=options.longest_session) for name in ROLES]
        audit = SandboxRole(AUDIT, path=AUDIT_PATH, longest=options.longest_session)
        account.roles = {role.name: role for role in (*roles, audit)}
        return account


class _Scene:
    """Plays the named cases into an account, before and after its report."""

    def __init__(self, account: SandboxAccount, start: datetime, built: Built) -> None:
        self._account = account
        self._start = start
        self.built = built
        self._made: list[tuple[User, Key, KeyCase]] = []
        self._late: list[tuple[User, Key, KeyCase]] = []

    def play(self, cases: list[UserCase]) -> None:
        for case in cases:
            user = self._account.add_user(case.name, self._back(case.name, case.age), case.path)
            self.before_report(user, case)

    def before_report(self, user: User, case: UserCase) -> None:
        """Give the user everything that was there when the report was made."""
        user.created_at = self._back(case.name, case.age)
        if case.console is not None:
            set_at = self._back(case.name, case.password_age or case.age)
            used = None if case.console == "never" else self._back(case.name, case.console)
            user.login = Login(set_at, used)
        user.mfa = case.mfa
        user.certificates = [Certificate(user.created_at, active) for active in case.certificates]
        user.tags = dict(case.tags)
        self._keys(user, case, [key for key in case.keys if key.since != "created"])

    def afterwards(self, cases: tuple[UserCase, ...]) -> None:
        """Let happen what happened between the report and the start."""
        for user, key, script in self._made:
            if script.since == "deleted":
                self._account.remove_key(user, key)
            elif script.since == "disabled":
                key.status = INACTIVE
        for user, key, script in self._late:
            self._use(user, key, script)
        self.play([case for case in cases if case.since == "created"])
        for case in cases:
            user = self._account.users[case.name]
            self._keys(user, case, [key for key in case.keys if key.since == "created"])
            if case.since == "deleted":
                self._account.remove_user(user)

    def _keys(self, user: User, case: UserCase, scripts: list[KeyCase]) -> None:
        for script in scripts:
            key = self._account.add_key(user, self._created(user, script))
            key.status = script.status
            if script.slot is not None:
                key.slot = script.slot
            if script.used is not None and script.used >= REPORT_AGE / _DAY:
                self._use(user, key, script)
            elif script.used is not None:
                self._late.append((user, key, script))
            self._made.append((user, key, script))
            self.built.expected.append(self._expected(user, key, case, script))

    def _expected(self, user: User, key: Key, case: UserCase, script: KeyCase) -> Expected:
        used_at = None if script.used is None else self._back(user.name, script.used)
        known = case.since == "created" or any(other.since != "created" for other in case.keys)
        unseen = script.since == "created" and not known
        return Expected(user.name, key.access_key_id, script.verdict, case.why, used_at, unseen)

    def _created(self, user: User, script: KeyCase) -> datetime:
        if script.gap is not None:
            return user.created_at + timedelta(seconds=script.gap)
        return self._back(user.name, script.age or 0)

    def _use(self, user: User, key: Key, script: KeyCase) -> None:
        _use(key, self._back(user.name, script.used or 0), script.region, script.service)

    def _back(self, name: str, days: float) -> datetime:
        """Return so many days ago; what is old happened at each user's own time of day."""
        extra = int.from_bytes(digest(name)[:4], "big") % _MORNING if days > _OLD else 0
        return (self._start - timedelta(days=days, seconds=extra)).replace(microsecond=0)


def _use(key: Key, moment: datetime, region: str, service: str) -> None:
    key.last_used_at, key.last_used_region, key.last_used_service = moment, region, service


def _add_scanner(account: SandboxAccount, start: datetime, allow: tuple[str, ...] | None) -> None:
    """Add the user who scans: an old key, made long after its user, with a known secret."""
    user = account.add_user(SCANNER, start - timedelta(days=800))
    key = account.add_key(user, start - timedelta(days=10), SCANNER_KEY)
    key.given_secret, key.allow = SCANNER_SECRET, allow
    _use(key, start - timedelta(days=1), "us-east-1", "iam")


def _bystander(account: SandboxAccount, start: datetime, number: int, chance: random.Random) -> None:
    """Add one of the crowd: nothing of theirs happened since the report."""
    age = chance.randrange(5 * 86_400, 1_400 * 86_400)  # seconds
    user = account.add_user(f"{chance.choice(_WORDS)}-{number:06d}", start - timedelta(seconds=age))
    if chance.random() < _CONSOLE:
        used = start - timedelta(seconds=chance.randrange(_RECENT, age))
        user.login = Login(user.created_at, used if chance.random() < _USED else None)
        user.mfa = chance.random() < _MFA
    if chance.random() < _WITH_KEY:
        born = chance.random() < _BORN
        gap = chance.randrange(4) if born else chance.randrange(60, age - _RECENT)
        _crowd_key(account, user, age - gap, start, chance)
        if chance.random() < _TWO_KEYS:
            _crowd_key(account, user, age - chance.randrange(60, age - _RECENT), start, chance)


def _crowd_key(account: SandboxAccount, user: User, age: int, start: datetime, chance: random.Random) -> None:
    """Add a key made `age` seconds before the start."""
    key = account.add_key(user, start - timedelta(seconds=age))
    if chance.random() < _INACTIVE:
        key.status = INACTIVE
    if chance.random() < _USED:
        ago = min(int(_RECENT / 2 + chance.expovariate(1 / _MEAN_USE)), age - 1)
        moment = start - timedelta(seconds=ago)
        _use(key, moment, chance.choice(_REGIONS), chance.choice(_SERVICES))
