"""People's hands: what somebody does to keys while birthright is not looking, for tests and demos."""

from datetime import datetime

from birthright.errors import UsageError
from birthright.sandbox import changes
from birthright.sandbox.account import ACTIVE, KEYS_PER_USER, SETTABLE, Key, KeyUse, SandboxAccount, User
from birthright.sandbox.cloud import Cloud


class People:
    """Acts on the accounts as AWS would let somebody act; every act is in the log as by `somebody`.

    All raise UsageError where AWS would not let it happen. An empty `account_id` is the first account's.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def use_key(
        self, key_id: str, service: str = "s3", region: str = "eu-west-1", at: datetime | None = None
    ) -> None:
        """Use a key, now or at an earlier instant `at` (UTC); it must be one that AWS accepts by now."""
        account, _, key = self._key(key_id)
        now = self._cloud.clock.now()
        early = key.usable_from is not None and now < key.usable_from
        if key.status != ACTIVE or early:
            raise UsageError(f"AWS does not accept the key {key_id}", f"it is {key.status}, or too new")
        used_at = (at or now).replace(microsecond=0)
        if key.last_used_at is None or used_at >= key.last_used_at:
            changes.use(key, KeyUse(used_at, region, service), self._cloud.delays)
        told = {"AccessKeyId": key_id, "Service": service, "Region": region, "At": used_at}
        self._tell(account, "use_key", told, ("used", key.user_name, key_id, service, region))

    def set_status(self, key_id: str, status: str) -> None:
        """Switch a key `Active` or `Inactive`; no effect is logged if it is already."""
        if status not in SETTABLE:
            raise UsageError(f"{status!r} is no status of a key", "Active or Inactive")
        account, user, key = self._key(key_id)
        effect = changes.set_status(user, key, status, self._cloud.clock.now(), self._cloud.delays)
        self._tell(account, "set_status", {"AccessKeyId": key_id, "Status": status}, effect)

    def add_key(self, user_name: str, account_id: str = "") -> Key:
        """Make a key for a user; a user has two at most."""
        account, user = self._user(user_name, account_id)
        if len(user.keys) >= KEYS_PER_USER:
            raise UsageError(f"{user_name} has two keys already")
        now = self._cloud.clock.now()
        key, effect = changes.create_key(account, user, now, self._cloud.delays)
        self._tell(account, "add_key", {"UserName": user_name}, effect)
        return key

    def delete_key(self, key_id: str) -> None:
        """Delete a key."""
        account, user, key = self._key(key_id)
        effect = changes.delete_key(account, user, key, self._cloud.clock.now(), self._cloud.delays)
        self._tell(account, "delete_key", {"AccessKeyId": key_id}, effect)

    def delete_user(self, user_name: str, account_id: str = "") -> None:
        """Delete a user, the user's keys first."""
        account, user = self._user(user_name, account_id)
        for key_id in list(user.keys):
            self.delete_key(key_id)
        account.remove_user(user)
        self._tell(account, "delete_user", {"UserName": user_name}, ("user-deleted", user_name))

    def _key(self, key_id: str) -> tuple[SandboxAccount, User, Key]:
        account = self._cloud.owner(key_id)
        key = account.credentials.get(key_id) if account else None
        if account is None or key is None:
            raise UsageError(f"the sandbox has no key {key_id}", "see birthright scan, or ListAccessKeys")
        self._cloud.accounts.keep(account.account_id)
        return account, account.user_of(key), key

    def _user(self, user_name: str, account_id: str) -> tuple[SandboxAccount, User]:
        account = self._cloud.account(account_id or self._cloud.home)
        user = account.users.get(user_name)
        if user is None:
            raise UsageError(f"the sandbox has no user {user_name!r}")
        return account, user

    def _tell(
        self, account: SandboxAccount, act: str, told: dict[str, object], effect: tuple[str, ...]
    ) -> None:
        self._cloud.log.by_hand(self._cloud.clock.now(), account.account_id, act, told, effect)
