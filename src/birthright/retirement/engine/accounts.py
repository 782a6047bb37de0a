"""Who changes what: one set of credentials for each account, the user's own or a role's."""

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from birthright.aws.clock import AwsClock
from birthright.aws.errors import UNREACHABLE, change_error, translated
from birthright.aws.identifiers import role_arn
from birthright.aws.role import Role
from birthright.aws.session import AwsSession
from birthright.aws.sts import Caller, caller_of
from birthright.aws.thread_pacing import ThreadPacer
from birthright.errors import CredentialsError, ReadError, ThrottledError, UncertainError
from birthright.retirement.engine.iam import Iam
from birthright.secret import Secret
from birthright.times import now, parse_instant

# Seconds. Together they bound how late after its announcement a call can reach AWS.
CONNECT_TIMEOUT = 5
READ_TIMEOUT = 20
_ATTEMPTS = 4
_THROTTLED_ATTEMPTS = 20
_LONGEST_PAUSE = 5.0
_CLOSED = 60.0  # seconds for which an account that could not be had is left alone


class RetiringAccount(msgspec.Struct, frozen=True):
    """One account as a retirement uses it; `own_key_id` is the key it is called with."""

    iam: Iam
    identity: Caller
    own_key_id: str
    client: Callable[[str], Any]
    identify: Callable[[str, Secret], Caller]


class _Door:
    """What is known of one account that is not the caller's own; its guard is held while it is entered."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.account: RetiringAccount | None = None
        self.refusal: ReadError | None = None
        self.closed_until = float("-inf")


class AccountDirectory:
    """All accounts that can be reached from one user's configuration; made on demand, any thread."""

    def __init__(
        self,
        session: AwsSession,
        clock: AwsClock,
        role: Role | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session = session
        self._clock = clock
        self._role = role
        self._sleep = sleep
        self._guard = threading.Lock()
        self._own_guard = threading.Lock()
        self._doors: dict[str, _Door] = {}
        self._own: RetiringAccount | None = None

    @property
    def own(self) -> RetiringAccount:
        """The account of the caller's own credentials. Raises ReadError."""
        with self._own_guard:
            if self._own is None:
                self._own = self._account(self._session.botocore)
            return self._own

    def get(self, account_id: str, partition: str) -> RetiringAccount:
        """Return an account, taking on the role where it is not the caller's own. Raises ReadError.

        An account that could not be had is not tried again for a minute.
        """
        own = self.own
        if own.identity.partition != partition:
            raise CredentialsError(
                f"the credentials are of the partition {own.identity.partition}, not {partition}",
                "use another --profile",
            )
        if account_id == own.identity.account_id:
            return own
        with self._guard:
            door = self._doors.setdefault(account_id, _Door())
        # Who comes to the same account waits; other accounts are not held up.
        with door.guard:
            if door.account is None:
                door.account = self._through(door, account_id, partition)
            return door.account

    def _through(self, door: "_Door", account_id: str, partition: str) -> RetiringAccount:
        if door.refusal is not None and time.monotonic() < door.closed_until:
            raise door.refusal
        try:
            return self._assumed(account_id, partition)
        except ReadError as refusal:
            door.refusal, door.closed_until = refusal, time.monotonic() + _CLOSED
            raise

    def _assumed(self, account_id: str, partition: str) -> RetiringAccount:
        if self._role is None:
            own = self.own.identity.account_id
            raise CredentialsError(
                f"the credentials are of account {own}, not {account_id}",
                "use another --profile, or --role NAME to take on a role there",
            )
        session = self._role_session(account_id, partition, self._role)
        account = self._account(session)
        if account.identity.account_id != account_id:
            raise CredentialsError(f"the role is of account {account.identity.account_id}, not {account_id}")
        return account

    def _role_session(self, account_id: str, partition: str, role: Role) -> Session:
        """Return a session whose credentials are the role's; they are renewed as they expire."""
        base = self._session.botocore
        fetcher = AssumeRoleCredentialFetcher(
            # The caller's own client signs with the same credentials as one that is made for the purpose.
            client_creator=lambda service, **_: self.own.client(service),
            source_credentials=base.get_credentials(),
            role_arn=role_arn(partition, account_id, role.name),
            extra_args=role.parameters(),
        )
        session = Session(profile=base.profile)
        session.set_config_variable("region", self._session.region)
        # Reading botocore's model of IAM takes as long as fifty calls, and ten MiB.
        session.register_component("data_loader", base.get_component("data_loader"))
        session._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - the documented recipe
            refresh_using=partial(_usable, fetcher), method="assume-role"
        )
        return session

    def _account(self, session: Session) -> RetiringAccount:
        clients: dict[str, Any] = {}
        guard = threading.Lock()

        def client(service: str) -> Any:  # noqa: ANN401 - botocore makes its clients at run time
            with guard:
                if service not in clients:
                    clients[service] = self._client(session, service)
                return clients[service]

        def identify(access_key_id: str, secret: Secret) -> Caller:
            keys = {"aws_access_key_id": access_key_id, "aws_secret_access_key": secret.reveal()}
            return self._identity(self._client(session, "sts", **keys))

        identity = self._patient_identity(client("sts"))
        with translated():
            own = session.get_credentials().get_frozen_credentials().access_key
        pace = ThreadPacer(self._sleep)
        return RetiringAccount(
            Iam(client("iam"), self._clock, pace, self._sleep), identity, own, client, identify
        )

    def _client(self, session: Session, service: str, **keys: Any) -> Any:  # noqa: ANN401 - as above
        """Make a client that asks once and does not wait long."""
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=64,
        )
        with translated():
            return session.create_client(service, region_name=self._session.region, config=config, **keys)

    def _patient_identity(self, sts: Any) -> Caller:  # noqa: ANN401 - as above
        """Ask who we are until AWS says it; many accounts ask at once, so not all at the same moment."""
        attempt = 0
        while True:
            try:
                return self._identity(sts)
            except (UncertainError, ThrottledError) as error:
                if attempt >= (_THROTTLED_ATTEMPTS if isinstance(error, ThrottledError) else _ATTEMPTS):
                    raise
            except ReadError as error:
                if error.code != UNREACHABLE or attempt >= _ATTEMPTS:
                    raise
            longest = min(0.2 * 2**attempt, _LONGEST_PAUSE)
            self._sleep(random.uniform(longest / 2, longest))  # noqa: S311 - not for cryptography
            attempt += 1

    def _identity(self, sts: Any) -> Caller:  # noqa: ANN401 - as above
        try:
            answer = sts.get_caller_identity()
        except ClientError as error:
            raise change_error(error, _action(error)) from None
        except (BotoCoreError, ResponseParserError) as error:
            raise change_error(error, "sts:GetCallerIdentity") from None
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        if date:
            self._clock.observe(date)
        try:
            return caller_of(answer["Arn"])
        except KeyError:
            raise UncertainError("sts:GetCallerIdentity: the answer is empty", "run it again") from None


def _action(error: ClientError) -> str:
    """Name the call that failed: taking on the role happens behind the one asked for."""
    return f"sts:{error.operation_name}"


def _usable(fetcher: AssumeRoleCredentialFetcher) -> dict[str, str]:
    """Take on a role; refuse, before botocore trips over it, what this machine takes for expired."""
    found: dict[str, str] = fetcher.fetch_credentials()
    if parse_instant(found["expiry_time"]) <= now():
        raise CredentialsError(
            "the role's credentials seem to have expired already", "set this machine's clock"
        )
    return found
