"""Lists a scan's accounts as they become known: from Organizations, a file, profiles, or an earlier run."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from birthright.aws.role import Role
from birthright.aws.roles import Roles
from birthright.aws.session import AwsSession
from birthright.errors import CredentialsError, ReadError, UsageError
from birthright.facts.model import UNKNOWN, Account, AccountFacts, Coverage
from birthright.fleet.accounts_file import load_accounts
from birthright.fleet.choosing import AccountFilter, is_open, skipped
from birthright.fleet.target import Target
from birthright.scans.request import AccountSelection
from birthright.sources.organization import Organization, Tree


class Batch(msgspec.Struct, frozen=True):
    """Some accounts to read, and the facts of some that are not read, which say why."""

    targets: tuple[Target, ...]
    skipped: tuple[AccountFacts, ...] = ()


class Listing:
    """The accounts that are wanted. `all` is the list once `batches` has ended; `note` says what it lacks.

    `region` is for profiles.
    """

    def __init__(
        self,
        wanted: AccountSelection,
        session: AwsSession | None,
        partition: str,
        as_of: datetime,
        region: str | None = None,
    ) -> None:
        self._wanted = wanted
        self._region = region
        self._session = session
        self._partition = partition
        self._as_of = as_of
        self._choice = AccountFilter(wanted.include, wanted.exclude)
        self.all: list[Account] = []
        self.note = ""

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the accounts as they become known. Raises UsageError, ReadError."""
        if self._wanted.file:
            yield self._from_file(Path(self._wanted.file))
        elif self._wanted.profiles:
            yield await self._from_profiles()
        else:
            async for batch in self._from_organization():
                yield batch

    def again(self, accounts: Sequence[Account]) -> Batch:
        """Return what an earlier run had listed to the end."""
        roles = self._wanted.roles
        return self._batch(
            [
                Target(one, roles.get(one.account_id), one.account_name if one.source == "profile" else None)
                for one in accounts
            ]
        )

    def _from_file(self, path: Path) -> Batch:
        listed = load_accounts(path)
        chosen = {a.account_id for a in self._choice.of([one.account for one in listed], _no_tags)}
        self._choice.check_ids({one.account.account_id for one in listed}, str(path))
        return self._batch([one for one in listed if one.account.account_id in chosen])

    async def _from_profiles(self) -> Batch:
        found = await asyncio.gather(*(self._of_profile(name) for name in self._wanted.profiles))
        targets = [one for one in found if isinstance(one, Target)]
        first: dict[str, str | None] = {}
        for one in targets:
            other = first.setdefault(one.account.account_id, one.profile)
            if other != one.profile:
                account = one.account.account_id
                raise UsageError(f"profiles {other} and {one.profile} are both of account {account}")
        self._choice.check_ids(first, "these profiles")
        chosen = self._choice.of([one.account for one in targets], _no_tags)
        batch = self._batch([one for one in targets if one.account in chosen])
        failed = tuple(one for one in found if isinstance(one, AccountFacts))
        return Batch(batch.targets, batch.skipped + failed)

    async def _of_profile(self, name: str) -> Target | AccountFacts:
        """Find out which account a profile is of; without usable credentials it is an account that failed."""
        try:
            # This may run a program or use the network: the other profiles continue meanwhile.
            roles = Roles(await asyncio.to_thread(AwsSession, name, self._region), Role())
            try:
                caller = await roles.caller()
            finally:
                roles.close()
        except ReadError as error:
            detail = f"profile {name}: {error}"
            line = Coverage(
                UNKNOWN, "GetCallerIdentity", "failed", detail, name, self._partition, as_of=self._as_of
            )
            return AccountFacts((), (), (line,))
        return Target(Account(caller.account_id, name, source="profile"), profile=name)

    async def _from_organization(self) -> AsyncIterator[Batch]:
        if self._session is None:
            raise CredentialsError("there are no AWS credentials to call Organizations with")
        organization = Organization(self._session)
        walk = asyncio.create_task(asyncio.to_thread(organization.tree))
        try:
            within = (await walk).below(self._wanted.units) if self._wanted.units else None
            async for accounts in self._pages(organization):
                yield await self._chosen(organization, accounts, within)
            self._place(await _as_far_as_known(walk))
        finally:
            # A caller that stops early must not wait for the walk to end by itself.
            organization.close()
            await asyncio.gather(walk, return_exceptions=True)

    async def _pages(self, organization: Organization) -> AsyncIterator[Sequence[Account]]:
        """Yield the pages; all at once where an id was named, so that a wrong one is reported first."""
        pages = organization.pages()
        if not self._choice.names_ids:
            while (page := await asyncio.to_thread(next, pages, None)) is not None:
                yield page
            return
        every = await asyncio.to_thread(_flat, pages)
        self._choice.check_ids({account.account_id for account in every})
        yield every

    async def _chosen(
        self, organization: Organization, accounts: Sequence[Account], within: Collection[str] | None
    ) -> Batch:
        there = [account for account in accounts if within is None or account.account_id in within]
        chosen = await asyncio.to_thread(self._choice.of, there, organization.tags)
        return self._batch([Target(account) for account in chosen])

    def _batch(self, targets: Sequence[Target]) -> Batch:
        self.all += [one.account for one in targets]
        closed = [one.account for one in targets if not is_open(one.account)]
        lines = tuple(skipped(account, self._partition, self._as_of) for account in closed)
        return Batch(tuple(one for one in targets if is_open(one.account)), lines)

    def _place(self, tree: Tree) -> None:
        self.all = [tree.placed(account) for account in self.all]
        self.note = tree.note


async def _as_far_as_known(walk: "asyncio.Task[Tree]") -> Tree:
    """Return the tree, or why there is none: all accounts are listed, and may as well be judged."""
    try:
        return await walk
    except ReadError as error:
        return Tree({}, {}, f"the OUs of accounts are not known: {error}")


def _flat(pages: Iterator[tuple[Account, ...]]) -> list[Account]:
    return [account for page in pages for account in page]


def _no_tags(_: Sequence[str]) -> dict[str, dict[str, str]]:
    raise UsageError("tags of accounts are known to Organizations only", "--include tag:... goes with --org")
