"""What can be taken out of the retirement engine, each of which has to be noticed by `make test`.

A mutant is a small change of the engine's text. It is found by that text, wherever the module lives, and
has to be there exactly once: text that is gone fails loudly, so that no mutant rots.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import birthright

_TESTS = Path(__file__).parent.parent
_PACKAGE = Path(birthright.__file__).parent
_ENGINE = "retirement"
# Seconds of CPU; some mutants would never end.
_PATIENCE = 600
# By the folder of the engine that a mutant is in: quick tests first, as the first that fails is enough.
_NOTICED_BY = {
    "engine": (
        "engine/test_retirement_attacks.py",
        "engine/test_iam.py",
        "engine/test_run.py",
        "engine/test_accounts.py",
        "engine/test_retirement_simulation.py",
    ),
    "handover": ("handover",),
    "journal": ("journal", "engine/test_retirement_attacks.py"),
}


class Mutant(NamedTuple):
    """A change: what it takes away, the text that is there, and what stands there instead; maybe twice."""

    what: str
    before: str
    after: str
    also: tuple[tuple[str, str], ...] = ()


class Gone(Exception):  # noqa: N818 - says what became of a mutant's text
    """A mutant's text is not there any more, or more than once."""


MUTANTS = (
    # The call between two records
    Mutant(
        "lock and freshness are not looked at before a call",
        "        now = self.now()\n        if intent.call in _RESTING_ON_A_LOOK",
        "        return True\n        if intent.call in _RESTING_ON_A_LOOK",
    ),
    Mutant(
        "a lost lock does not matter before a call",
        "return self._lock.is_mine(now) and now - intent.at <= patience",
        "return now - intent.at <= patience",
    ),
    Mutant(
        "an old announcement does not matter before a call",
        "return self._lock.is_mine(now) and now - intent.at <= patience",
        "return self._lock.is_mine(now)",
    ),
    Mutant(
        "an old look does not matter before a call",
        "if intent.call in _RESTING_ON_A_LOOK and now - self.looked_at > _LOOK_HOLDS:",
        "if False:",
    ),
    Mutant("what was announced too long ago is handed over", "if not self._may_go(intent):", "if False:"),
    Mutant(
        "a change goes however long it waited for its turn",
        "            if not go():",
        "            if False:",
    ),
    Mutant(
        "a call is not announced",
        'self.record("intent", intent.call, seen={"key": intent.access_key_id, **seen}, intent=intent)',
        "pass",
    ),
    Mutant(
        "a call is announced after it was made",
        'self.record("intent", intent.call, seen={"key": intent.access_key_id, **seen}, intent=intent)',
        "pass",
        (
            (
                "return act(partial(self._may_go, intent))\n",
                'return (act(lambda: True), self.record("intent", intent.call, intent=intent))[0]\n',
            ),
        ),
    ),
    Mutant(
        "an answer that was lost is taken for a no",
        "        except UncertainError as error:\n",
        "        except UncertainError as error:\n"
        '            self.record("outcome", intent.call, seen={"made": False}, intent=before)\n',
    ),
    Mutant(
        "a refusal forgets what was announced before",
        'self.record("outcome", intent.call, seen=refusal, intent=before)',
        'self.record("outcome", intent.call, seen=refusal, intent=None)',
    ),
    Mutant(
        "a secret is written without the lock",
        "if not self._lock.is_mine(self.now()):",
        "if False:",
    ),
    Mutant(
        "the end of a retirement leaves out what is unresolved",
        'note = "; ".join(filter(None, (note, self.retirement.unresolved)))',
        "pass",
    ),
    # Reading again
    Mutant(
        "a key that was made anew under the same id is taken for the planned one",
        "if key.created_at != r.planned.created_at:",
        "if False:",
    ),
    Mutant(
        "a renamed user's key is called gone",
        '    require_not_renamed(work)\n    work.end("gone", "somebody else deleted the key")',
        '    work.end("gone", "somebody else deleted the key")',
    ),
    Mutant(
        "a key that was switched since the plan is disabled",
        "    require_status(work, key, work.retirement.planned.status)\n",
        "",
    ),
    Mutant(
        "a use after the plan's facts does not matter",
        "if r.planned.last_used_at is None or use.at > r.planned.last_used_at:",
        "if False:",
    ),
    Mutant(
        "a use within in_use does not matter",
        'return f"{told}, which counts as in use" if by - use.at < r.terms.in_use else ""',
        'return ""',
    ),
    Mutant(
        "a last use that is forgotten does not matter",
        'return "AWS does not know the planned last use any more" if r.planned.last_used_at else ""',
        'return ""',
    ),
    Mutant(
        "the last use is not looked at before a key is disabled",
        "    reason = late_use(work.retirement, use, work.now())\n",
        '    reason = ""\n',
    ),
    Mutant(
        "a look is dated after its answer",
        "work.looked_at = min(before, work.now())",
        "work.looked_at = work.now()",
    ),
    Mutant("AWS's times are taken for exact", "GRAIN = timedelta(seconds=1)", "GRAIN = timedelta(0)"),
    Mutant(
        "an old key goes without its replacement",
        "    if trouble:\n        back = undo_hint",
        "    if False:\n        back = undo_hint",
    ),
    # Disabling and reading back
    Mutant(
        "nothing is read back after the disabling",
        "    _note_disabled(work, request)\n    confirm(work)\n",
        '    _note_disabled(work, request)\n    work.record("observed", intent=None)\n',
    ),
    Mutant(
        "a use at the last moment is not seen when it is read back",
        "    reason = late_use(r, use, r.disabled_at)\n    if reason:\n        require_was_on",
        "    reason = late_use(r, use, r.disabled_at)\n    if False:\n        require_was_on",
    ),
    Mutant(
        "a key that is seen to be on passes for disabled",
        "    if key.status != INACTIVE:\n        if not is_over(r.disabled_at",
        "    if False:\n        if not is_over(r.disabled_at",
    ),
    Mutant(
        "a key seen late to be off has a shorter quarantine",
        "**(begin if late else {})",
        "**{}",
    ),
    Mutant(
        "a deactivation that lies ahead is believed",
        "if r.disabled_at is not None and r.disabled_at > now:",
        "if False:",
    ),
    Mutant(
        "a key that was off before the plan is enabled when it was used",
        "    if not was_on(work.retirement, use, disabled_at):\n",
        "    if False:\n",
    ),
    # The quarantine and the end
    Mutant(
        "there is no quarantine",
        "not is_over(r.disabled_at, r.terms.quarantine, now)",
        "False",
        (("if not is_over(r.disabled_at, r.terms.quarantine, work.now()):", "if False:"),),
    ),
    Mutant(
        "nobody looks during the quarantine",
        "return look if r.due_at is None or now >= r.due_at else None",
        "return None",
    ),
    Mutant(
        "the clock is not looked at again before the deletion",
        "if not is_over(r.disabled_at, r.terms.quarantine, work.now()):",
        "if False:",
    ),
    Mutant(
        "a key that somebody switched on again is deleted",
        "    require_inactive(work, key)\n    require_replacement(work, keys)\n",
        "    require_replacement(work, keys)\n",
    ),
    Mutant(
        "a key whose replacement is gone is deleted",
        "    require_inactive(work, key)\n    require_replacement(work, keys)\n",
        "    require_inactive(work, key)\n",
    ),
    Mutant(
        "a use that shows up late does not matter",
        "    if reason and use.at is not None and use.at <= r.disabled_at:\n",
        '    reason = ""\n    if reason and use.at is not None:\n',
    ),
    Mutant(
        "a use that shows up late stops, and leaves the key off",
        "    if reason and use.at is not None and use.at <= r.disabled_at:\n",
        "    if False:\n",
    ),
    # A rotation
    Mutant("a second key is not in the way", "    if others:\n", "    if False:\n"),
    Mutant(
        "two users' new secrets may go to one place",
        "if taken and other.user_name != r.user_name:",
        "if False:",
    ),
    Mutant("a place that takes nothing is found out too late", "        place.check()\n", "        pass\n"),
    Mutant(
        "a new key that got nowhere is left behind",
        '        discard(work, new.access_key_id, f"the hand-over failed: {error}")\n',
        "",
    ),
    Mutant(
        "a hand-over of which nobody knows counts as failed",
        "        if not error.certain:\n",
        "        if False:\n",
    ),
    Mutant(
        "a new key that is somebody else's passes",
        "if identity is not None and identity.arn != work.retirement.user_arn:",
        "if False:",
    ),
    Mutant(
        "our own use of a new key counts",
        "if use.at is not None and use.at > replacement.proof_ended_at + _CLOCKS_APART:",
        "if use.at is not None:",
    ),
    Mutant(
        "a use right after our own counts",
        "use.at > replacement.proof_ended_at + _CLOCKS_APART:",
        "use.at > replacement.proof_ended_at:",
    ),
    Mutant(
        "an old key goes though nobody uses its replacement",
        "    _wait_for_use(work, old)\n",
        "    switch_off(work, seen_facts(old, use))\n",
    ),
    Mutant(
        "an old key is not quiet before it goes",
        "if is_over(since, r.terms.quiet, work.now()) and not late_use(r, use, work.now()):",
        "if True:",
    ),
    Mutant(
        "the quiet wait does not begin anew with a use of the old key",
        "return max(replacement.first_used_at, use.at or replacement.first_used_at)",
        "return replacement.first_used_at",
        (('return told if by - use.at < r.terms.quiet + GRAIN else ""', 'return ""'),),
    ),
    Mutant(
        "whoever has not the lock any more proves a new key",
        "    while go():\n",
        "    while True:\n",
    ),
    # Recovery
    Mutant(
        "a call whose outcome nobody knows is forgotten",
        "    if r.intent is not None:\n        return recover\n",
        "",
    ),
    Mutant(
        "a key that somebody made is taken for ours",
        "    return announced - APART - GRAIN <= key.created_at <= announced + MADE_WITHIN\n",
        "    return True\n",
    ),
    Mutant(
        "a new key is looked for before listings show it",
        "    if not is_over(intent.at, SETTLED, work.now()):\n",
        "    if False:\n",
    ),
    Mutant(
        "a lost new key that is in use is deleted",
        "    if use.at is not None:\n        _leave_alone(work, keys)\n",
        "",
    ),
    Mutant(
        "a lost new key is deleted before a use of it would show",
        "    _wait_until_use_shows(work, orphan.access_key_id, orphan.created_at)\n",
        "",
    ),
    Mutant(
        "a secret that was stored elsewhere counts as lost",
        "    elif arrived is None or _intent(work).where != work.here():\n",
        "    elif arrived is None:\n",
    ),
    Mutant(
        "a secret that may be stored counts as lost",
        "    elif arrived is None or _intent(work).where != work.here():\n",
        "    elif arrived is not None and _intent(work).where != work.here():\n",
    ),
    Mutant(
        "whoever hands over may still be writing",
        "    elif not is_over(_intent(work).at + work.tools.lease, _SIGNED_FOR, work.looked_at):\n",
        "    elif False:\n",
    ),
    Mutant(
        "a proof that was interrupted is over at once",
        "note_proof(work, None, _intent(work).at + PROOF_PATIENCE + _SIGNED_FOR)",
        "note_proof(work, None, work.now())",
    ),
    Mutant(
        "a key is disabled once more though it was used",
        "    elif not reason:\n        switch_off(work, seen_facts(key, use))\n",
        "    elif True:\n        switch_off(work, seen_facts(key, use))\n",
    ),
    Mutant(
        "a lost disabling is not given back without a replacement",
        "    if trouble := replacement_trouble(work, keys):\n",
        '    if trouble := "":\n',
    ),
    Mutant(
        "a deletion that does not show yet counts as not made",
        "    elif not is_over(_intent(work).at, SETTLED, work.looked_at):\n",
        "    elif False:\n",
    ),
    Mutant(
        "a new key that somebody uses meanwhile is deleted",
        "    if key is not None and work.iam.last_use(access_key_id).at is not None:\n",
        "    if False:\n",
    ),
    # Undo, and what is refused
    Mutant(
        "a key that nobody disabled is enabled",
        "    if not _is_ours(r) or _was_off(work, key):\n",
        "    if False:\n",
    ),
    Mutant(
        "a key that was off stays off however it was used",
        "    if not late_use(r, use, disabled_at) or not was_on(r, use, disabled_at):\n",
        "    if True:\n",
    ),
    Mutant(
        "undo in the middle of a rotation loses the new key",
        '    if r.state == "created" or (r.intent and r.intent.call in _IN_THE_MAKING):\n',
        "    if False:\n",
    ),
    Mutant(
        "birthright takes away the key that it runs with",
        "if work.retirement.access_key_id in {work.account.own_key_id, *work.tools.own_key_ids}:",
        "if False:",
    ),
    Mutant(
        "a plan never expires",
        'if r.state == "open" and now >= r.plan.expires_at and not _has_begun(r):',
        "if False:",
    ),
    # The journal
    Mutant(
        "who has lost the lock goes on writing",
        "if connection.execute(_EXTEND, held).rowcount != 1:",
        "if connection.execute(_EXTEND, held).rowcount > 1:",
    ),
    Mutant(
        "a lock is taken from whoever holds it",
        "                locks.c.expires_at <= taken.excluded.taken_at,\n",
        "                locks.c.expires_at > taken.excluded.taken_at,\n",
    ),
    Mutant(
        "a retirement that has moved on is written over",
        "if stored is None or read_retirement(stored) != before:",
        "if stored is None:",
    ),
    Mutant(
        "a key that somebody wanted back is retired by the next plan",
        "or (r.state in WANTED_BACK and not again)",
        "",
    ),
    Mutant(
        "a replacement is retired while its rotation is open",
        "if r.replacement and r.is_open:",
        "if False:",
    ),
    Mutant(
        "what another run has done meanwhile is not read again under the lock",
        "current = tools.journal.get(retirement.id)",
        "current = retirement",
    ),
    # Asking AWS, and handing over
    Mutant(
        "an empty answer to a change counts as a yes",
        "        if not _request_id(answer):\n",
        "        if False:\n",
    ),
    Mutant(
        "a secret that birthright did not make is written to",
        "    if named.get(MANAGED_BY) != BIRTHRIGHT:\n        return None\n",
        "",
    ),
    Mutant(
        "another user's secret is written to",
        "return named.get(USER) == tag_value(owner.user_name)",
        "return True",
    ),
)


def apply(mutant: Mutant, package: Path) -> dict[Path, str]:
    """Change a copy of the package; return the changed files and what was in them. Raises Gone."""
    originals: dict[Path, str] = {}
    for before, after in ((mutant.before, mutant.after), *mutant.also):
        path = _holder(before, package)
        text = path.read_text()
        originals.setdefault(path, text)
        path.write_text(text.replace(before, after))
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()
    return originals


def _holder(text: str, package: Path) -> Path:
    """Return the one module of the engine that has the text, once."""
    found = [path for path in (package / _ENGINE).rglob("*.py") for _ in range(path.read_text().count(text))]
    if len(found) != 1:
        raise Gone(f"this stands in the engine {len(found)} times, not once:\n{text}")
    return found[0]


def copy_package(folder: Path) -> Path:
    """Copy the package, compiled modules included, into a folder; return the copy."""
    return Path(shutil.copytree(_PACKAGE, folder / _PACKAGE.name))


def noticed(mutant: Mutant, package: Path) -> str:
    """Run the tests over a changed copy of the package; return the one that fails, empty if none does."""
    originals = apply(mutant, package)
    (folder, *_) = {path.parent.name for path in originals}
    try:
        return failing(package, _NOTICED_BY[folder])
    finally:
        for path, text in originals.items():
            path.write_text(text)


def failing(package: Path, tests: Iterable[str] = tuple(chain(*_NOTICED_BY.values()))) -> str:
    """Run tests over a copy of the package; return the first that fails, empty if none does."""
    ran = _run(package.parent, tests)
    if ran.returncode == -signal.SIGXCPU:
        return "they never end"
    if ran.returncode not in {0, 1}:
        raise RuntimeError(f"the tests could not be run:\n{ran.stdout}{ran.stderr}")
    return next((line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "")


def _run(folder: Path, names: Iterable[str]) -> "subprocess.CompletedProcess[str]":
    options = ["-x", "-n", "0", "-m", "not slow", "-rfE", "--tb=no", "-p", "no:cacheprovider"]
    tests = [str(_TESTS / "retirement" / name) for name in names]
    # The copy is found before the checkout, and nothing is compiled that the next mutant would find.
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    limited = ["sh", "-c", f'ulimit -t {_PATIENCE}; exec "$@"', "sh"]
    return subprocess.run(
        [*limited, sys.executable, "-m", "pytest", *options, *tests],
        cwd=_TESTS.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
