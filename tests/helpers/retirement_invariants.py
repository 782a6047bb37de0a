"""What must be true of every sequence, judged by the sandbox's log and not by birthright's journal.

1. No key in use goes: see `_not_in_use` and `_moved_over`.
2. No deletion without our disabling it first and the full quarantine.
3. Every key we made is gone, or its secret can be read at its destination, or a person was told of it.
4. Running again and again changes nothing any more.
5. The journal and AWS agree.
6. At most two keys a user, always.
7. Nothing is touched that the plan does not name.
"""

import json
import random
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

from birthright.retirement.model import Retirement, Step
from birthright.sandbox.log import LogEntry
from retirement_world import STALE, START, World

_ROUNDS = 20
_OURS = {"UpdateAccessKey", "DeleteAccessKey", "CreateAccessKey"}
_CALLS = {
    ("UpdateAccessKey", "Inactive"): {"disable"},
    ("UpdateAccessKey", "Active"): {"revert", "enable"},
    ("DeleteAccessKey", ""): {"delete", "discard"},
    ("CreateAccessKey", ""): {"create"},
}


def live(seed: int, place: Path, held_up: float) -> tuple[World, str]:
    """Live one sequence to its end and judge it; return its world, and what it broke, empty if nothing."""
    world, broken = World(random.Random(seed), place, held_up), ""  # noqa: S311 - not for cryptography
    try:
        world.live(_ROUNDS)
        world.settle()
        Judge(world).all()
    except AssertionError as error:
        broken = str(error) or "AssertionError"
    return world, broken


class Judge:
    """Judges one world that has settled; every method raises AssertionError."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = [entry for entry in world.box.log if entry.seq > world.first_seq]
        self.ours = [e for e in self.log if e.service == "iam" and e.caller != "somebody" and e.effect]
        self.steps = list(world.journal.steps())
        self.retirements = world.journal.find()
        self.by_key = {r.access_key_id: r for r in self.retirements}
        self.uses: dict[str, list[datetime]] = defaultdict(list)
        for entry in world.box.log:
            if entry.effect[:1] == ("used",):
                # Before the plan uses are dated back; then they happen when they are noted.
                at = entry.params["At"] if entry.seq <= world.first_seq else entry.at
                self.uses[entry.effect[2]].append(at)

    def all(self) -> None:
        """Judge everything."""
        self.only_what_was_planned()
        self.at_most_two_keys()
        self.nothing_in_use_went()
        self.quarantines()
        self.made_keys()
        self.journal_is_true()
        self.converged()

    def nothing_in_use_went(self) -> None:
        """1: judged for every disabling of ours that was not taken back at once."""
        for entry in self.ours:
            if _status(entry) == "Inactive" and not self._taken_back(entry):
                retirement = self.by_key[entry.effect[2]]
                if retirement.action == "retire":
                    self._not_in_use(retirement, entry)
                else:
                    self._moved_over(retirement, entry)

    def _taken_back(self, disabling: LogEntry) -> bool:
        """Whether the key was on again, or gone, before anything else of ours happened to it.

        A use between our last look and the call is seen right after it, or by the run after a crash;
        somebody may be quicker than that.
        """
        key = _key(disabling)
        later = [e for e in self.world.box.log if e.seq > disabling.seq]
        about = [e for e in later if self._asks(e, key) or (_key(e) == key and e.effect[0] != "used")]
        return bool(about) and (about[0].params.get("Status") == "Active" or about[0].caller == "somebody")

    @staticmethod
    def _asks(entry: LogEntry, key: str) -> bool:
        """Whether this is a call of ours about the key that AWS carried out."""
        carried_out = bool(entry.effect) or not entry.error
        return entry.params.get("AccessKeyId") == key and entry.caller != "somebody" and carried_out

    def _not_in_use(self, retirement: Retirement, disabling: LogEntry) -> None:
        """Judge a retired key: not used after the plan's facts, and not within `in_use`."""
        for used in self.uses[retirement.access_key_id]:
            if used > disabling.at:
                continue
            assert used <= START - STALE, (
                f"{retirement.access_key_id} was used {used}, after the plan's facts"
            )
            assert disabling.at - used >= self.world.terms.in_use, (
                f"{retirement.access_key_id} is in use since {used}"
            )

    def _moved_over(self, retirement: Retirement, disabling: LogEntry) -> None:
        """Judge a rotated key: somebody else uses the replacement, and it was quiet for `quiet` since."""
        replacement = retirement.replacement
        assert replacement is not None, "disabled without a replacement"
        moved = [used for used in self.uses[replacement.access_key_id] if used <= disabling.at]
        assert moved, f"{retirement.access_key_id} went before anybody used its replacement"
        since = max([min(moved), *(u for u in self.uses[retirement.access_key_id] if u <= disabling.at)])
        assert disabling.at - since >= self.world.terms.quiet, (
            f"{retirement.access_key_id} was not quiet since {since}"
        )

    def quarantines(self) -> None:
        """2: from our last disabling on nobody switched it on, and the time is over."""
        for entry in self.ours:
            if entry.effect[0] != "deleted" or entry.effect[2] not in self.by_key:
                continue
            before = [e for e in self.log if e.seq < entry.seq and _key(e) == _key(entry)]
            off = self._disabled_at(entry.effect[2], before, entry.at)
            assert off is not None, f"{entry.effect[2]} was deleted without being disabled"
            assert entry.at - off >= self.world.terms.quarantine, f"{entry.effect[2]} was deleted too early"

    def _disabled_at(self, key_id: str, before: list[LogEntry], deletion: datetime) -> datetime | None:
        """Return when we last disabled a key that is off now, whatever people did to it in between.

        IAM keeps no date of it: a key switched on and off again without a use looks untouched.
        """
        status = self.by_key[key_id].planned.status
        asked = [e for e in self.world.box.log if self._asks(e, key_id)]
        offs = [e for e in asked if e.params.get("Status") == "Inactive"]
        # IAM deletes without conditions: what somebody does between our last look and the deletion, or
        # what listings do not show yet, cannot be seen by anybody.
        unseen = timedelta(seconds=31 + self.world.box.cloud.delays.consistency)
        seen = {status}
        for entry in before:
            status = _status(entry) or status
            seen = {status} if entry.at < deletion - unseen else {*seen, status}
        return offs[0].at if offs and "Inactive" in seen else None

    def made_keys(self) -> None:
        """3."""
        told = " ".join(r.note for r in self.retirements)
        account = self.world.box.account()
        readable = set()
        for secret in account.secrets.values():
            value = json.loads(secret.value() or "{}")
            readable.add((value.get("access_key_id"), value.get("secret_access_key")))
        for entry in self.ours:
            if entry.effect[0] != "created":
                continue
            key = account.credentials.get(entry.effect[2])
            if key is not None and (key.access_key_id, key.secret) not in readable:
                assert key.access_key_id in told, f"{key.access_key_id} was made and lost"

    def converged(self) -> None:
        """4."""
        before, steps = len(self.world.box.log), len(self.steps)
        self.world.work()
        self.world.work()
        assert len(self.world.box.log) == before, "AWS was changed again"
        assert len(list(self.world.journal.steps())) == steps, "the journal goes on and on"

    def journal_is_true(self) -> None:
        """5."""
        assert self.world.journal.verify().problem is None
        answered = {entry.request_id: entry for entry in self.world.box.log if entry.request_id}
        for entry in self.ours:
            self._announced(entry)
        for step in self.steps:
            if step.request_id and step.call not in {"hand-over", "annotate"}:
                assert not answered[step.request_id].error, step
        for retirement in self.retirements:
            self._as_in_aws(retirement)
            assert retirement.intent is None, f"{retirement.access_key_id}: {retirement.intent}"

    def _announced(self, entry: LogEntry) -> None:
        """Find the announcement of a change of ours."""
        calls = _CALLS[entry.action, str(entry.params.get("Status", ""))]
        key = str(entry.params.get("AccessKeyId", ""))
        assert any(self._announces(step, calls, key, entry) for step in self.steps), f"not announced: {entry}"

    def _announces(self, step: Step, calls: set[str], key: str, entry: LogEntry) -> bool:
        about = self.world.journal.get(step.retirement_id)
        right = step.kind == "intent" and step.call in calls and about.user_name == entry.effect[1]
        return right and step.at <= entry.at and step.detail.get("key", "") == key

    def _as_in_aws(self, retirement: Retirement) -> None:
        account = self.world.box.account()
        key = account.credentials.get(retirement.access_key_id)
        deleted = [e for e in self.ours if e.effect[0] == "deleted" and _key(e) == retirement.access_key_id]
        assert bool(deleted) <= (retirement.state == "deleted"), f"{retirement.access_key_id} was deleted"
        if retirement.state in {"deleted", "gone"}:
            assert key is None, f"{retirement.access_key_id} is {retirement.state} and still there"
        touched = [e for e in self.log if _key(e) == retirement.access_key_id and _status(e)]
        if touched and touched[-1] in self.ours and _status(touched[-1]) == "Inactive" and not deleted:
            self._left_disabled(retirement)

    @staticmethod
    def _left_disabled(retirement: Retirement) -> None:
        """Judge a key that we left disabled: it waits for its end, or somebody was told that it is disabled.

        Undone, it was off when planned. That somebody switched it on right before our call, and did not
        use it, cannot be known: IAM keeps no trace of it, and if our answer was lost not even we know
        that it was we. A use leaves one; that is judged in `_not_in_use`.
        """
        if retirement.state == "undone":
            assert retirement.planned.status == "Inactive", retirement
            assert "stays disabled" in retirement.note, retirement
        elif retirement.state == "stopped":
            assert "stays disabled" in retirement.note, retirement
        elif retirement.state not in {"gone", "deleted"}:
            # Gone or deleted, it is not there any more: who did it cannot be known if an answer was lost.
            assert retirement.state == "disabled", retirement
            assert retirement.disabled_at is not None, retirement

    def at_most_two_keys(self) -> None:
        """6."""
        for user in self.world.box.account().users.values():
            assert len(user.keys) <= 2

    def only_what_was_planned(self) -> None:
        """7: only planned keys, and keys that we made ourselves."""
        ours = {r.access_key_id for r in self.world.planned}
        for entry in self.ours:
            assert entry.action in _OURS, entry
            if entry.effect[0] == "created":
                assert entry.effect[1] in {r.user_name for r in self.world.planned if r.action == "rotate"}
                ours.add(entry.effect[2])
            assert _key(entry) in ours, f"touched without a plan: {entry}"


def _key(entry: LogEntry) -> str:
    return entry.effect[2] if len(entry.effect) > 2 else ""


def _status(entry: LogEntry) -> str:
    """Return the status that a change gave a key; empty for other changes."""
    return entry.effect[4] if entry.effect[:1] == ("status",) else ""
