"""The named users: every case of the truth table, and of its sibling controls, once each.

The verdicts are written down here by hand, from the design's truth table, and never computed: they
are what birthright is measured by. They are those of the policy `access-key-created-with-user` with
its default window of 7 s, read with a cached report and the current key listings.
"""

from dataclasses import dataclass
from typing import Literal

from birthright.sandbox.account import ACTIVE, EXPIRED, INACTIVE

Verdict = Literal["fail", "pass", "unknown", "absent"]
Event = Literal["created", "deleted", "disabled"]

FAIL: Verdict = "fail"
PASS: Verdict = "pass"  # noqa: S105 - a verdict
UNKNOWN: Verdict = "unknown"
ABSENT: Verdict = "absent"


@dataclass(frozen=True, slots=True)
class KeyCase:
    """One access key.

    verdict: what the policy must say of it; `absent` means it must not appear at all.
    gap: seconds from the user's creation to the key's; negative is before.
    age: days since the key's creation, instead of a gap.
    used: days since the last use; None is never.
    since: what happened to the key after the report was made.
    slot: the report's slot, where not the first free one; 0 is not in the report.
    """

    verdict: Verdict
    gap: int | None = None
    age: float | None = None
    used: float | None = None
    service: str = "s3"
    region: str = "us-east-1"
    status: str = ACTIVE
    since: Event | None = None
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class UserCase:
    """One user. Ages are in days before the sandbox's start.

    why: the fact this user stands for.
    console: days since the password's last use; `never` is a password never used, None is none.
    password_age: days since the password was set, by default since the user's creation.
    certificates: of each signing certificate, whether it is active.
    since: what happened to the user after the report was made.
    """

    name: str
    why: str
    age: float
    keys: tuple[KeyCase, ...] = ()
    console: float | Literal["never"] | None = None
    password_age: float | None = None
    mfa: bool = False
    path: str = "/"
    certificates: tuple[bool, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    since: Event | None = None


ROOT = UserCase(
    "<root_account>",
    "root has a key created with the account, no MFA, and is in daily use",
    1500,
    (KeyCase(FAIL, 2, used=20, service="iam"),),
    console=3,
)

CASES = (
    UserCase("ci-deploy-born-with-key", "birth key in use: rotate", 400, (KeyCase(FAIL, 0, used=0.1),)),
    UserCase(
        "console-with-born-key-never-used",
        "the control's own wording: console user, key made by the old wizard and never used",
        900,
        (KeyCase(FAIL, 1),),
        console=5,
        mfa=True,
    ),
    UserCase("rotated", "the birth key was replaced", 500, (KeyCase(PASS, age=30, used=1),)),
    UserCase("console-no-mfa", "console user without MFA or keys", 200, console=2),
    UserCase("unused-100d", "a later key unused for 100 days", 700, (KeyCase(PASS, age=300, used=100),)),
    UserCase("born-1s", "one second after the user, as SDKs do", 120, (KeyCase(FAIL, 1, used=3),)),
    UserCase("born-6s", "the last second inside the window", 250, (KeyCase(FAIL, 6, used=12),)),
    UserCase("born-7s", "the window is half-open: 7 s is outside", 250, (KeyCase(PASS, 7, used=12),)),
    UserCase("born-8s", "just outside the window", 250, (KeyCase(PASS, 8, used=12),)),
    UserCase("terraform-3s", "made by Terraform, 3 s apart", 95, (KeyCase(FAIL, 3, used=0.5),)),
    UserCase("negative-gap", "key older than the user by an hour", 80, (KeyCase(UNKNOWN, -3600, used=4),)),
    UserCase("negative-gap-1s", "key older than the user by a second", 80, (KeyCase(UNKNOWN, -1),)),
    UserCase("born-inactive", "birth key already disabled", 300, (KeyCase(PASS, 0, status=INACTIVE),)),
    UserCase(
        "two-born-keys-same-second",
        "two birth keys with the same creation second: both fail, each with its own id",
        310,
        (KeyCase(FAIL, 1, used=2), KeyCase(FAIL, 1)),
    ),
    UserCase(
        "two-born-keys-one-inactive",
        "same second, told apart by status",
        310,
        (KeyCase(FAIL, 1, used=2), KeyCase(PASS, 1, status=INACTIVE)),
    ),
    UserCase(
        "two-born-keys-seconds-apart",
        "two birth keys, 2 s and 5 s after the user",
        310,
        (KeyCase(FAIL, 2, used=2), KeyCase(FAIL, 5)),
    ),
    UserCase(
        "slot2-born",
        "the birth key sits in slot 2, a newer one in slot 1",
        600,
        (KeyCase(PASS, age=40, used=1, slot=1), KeyCase(FAIL, 0, slot=2, used=90.5)),
    ),
    UserCase(
        "slot2-only-born", "slot 1 is empty, the key is in slot 2", 600, (KeyCase(FAIL, 0, slot=2, used=1),)
    ),
    UserCase(
        "born-and-newer",
        "birth key beside a newer one",
        450,
        (KeyCase(FAIL, 0, used=60), KeyCase(PASS, age=50, used=1)),
    ),
    UserCase(
        "born-inactive-and-newer",
        "rotation half done: the birth key is off, the new key in use",
        450,
        (KeyCase(PASS, 0, status=INACTIVE, used=8), KeyCase(PASS, age=9, used=0.2)),
    ),
    UserCase(
        "three-keys",
        "a third key, which the report does not show",
        800,
        (KeyCase(FAIL, 0, used=7), KeyCase(PASS, age=200, used=6), KeyCase(PASS, age=100, slot=0)),
    ),
    UserCase(
        "third-key-born",
        "the birth key is the one the report does not show",
        800,
        (KeyCase(PASS, age=210, used=6), KeyCase(PASS, age=110, used=5), KeyCase(FAIL, 0, slot=0, used=3)),
    ),
    UserCase(
        "deleted-since-report",
        "user and birth key deleted since the report",
        150,
        (KeyCase(ABSENT, 0, used=3),),
        since="deleted",
    ),
    UserCase(
        "newer-than-report",
        "user and birth key made after the report",
        0.04,
        (KeyCase(FAIL, 1),),
        since="created",
    ),
    UserCase("newer-without-key", "user made after the report, no key", 0.04, since="created"),
    UserCase(
        "newer-with-later-key",
        "both after the report, a quarter of an hour apart",
        0.04,
        (KeyCase(PASS, age=0.03, since="created"),),
        since="created",
    ),
    UserCase(
        "key-deleted-since-report",
        "birth key deleted since the report",
        150,
        (KeyCase(ABSENT, 0, used=30, since="deleted"),),
    ),
    UserCase(
        "key-disabled-since-report",
        "birth key disabled since the report",
        150,
        (KeyCase(PASS, 0, used=30, since="disabled"),),
    ),
    UserCase(
        "key-created-since-report",
        "an old user's first key, made after the report",
        150,
        (KeyCase(PASS, age=0.02, since="created"),),
    ),
    UserCase(
        "key-replaced-since-report",
        "birth key deleted, a new one made, after the report",
        150,
        (KeyCase(ABSENT, 0, used=30, since="deleted"), KeyCase(PASS, age=0.02, since="created")),
    ),
    UserCase("used-yesterday", "birth key used yesterday", 365, (KeyCase(FAIL, 0, used=1),)),
    UserCase("used-minutes-ago", "birth key used since the report", 365, (KeyCase(FAIL, 0, used=0.01),)),
    UserCase("born-used-89d", "birth key: in use by one day", 500, (KeyCase(FAIL, 0, used=89),)),
    UserCase("born-used-91d", "birth key: out of use by one day", 500, (KeyCase(FAIL, 0, used=91),)),
    UserCase("ses-smtp", "a key that is an SMTP login", 420, (KeyCase(FAIL, 1, used=2, service="ses"),)),
    UserCase("never-used-old-key", "a later key of 300 days, never used", 650, (KeyCase(PASS, age=300),)),
    UserCase("never-used-fresh-key", "a key of six hours, not used yet", 650, (KeyCase(PASS, age=0.25),)),
    UserCase(
        "inactive-40d", "a later key, disabled", 640, (KeyCase(PASS, age=70, used=40, status=INACTIVE),)
    ),
    UserCase(
        "inactive-both",
        "two disabled keys, one of them a birth key",
        640,
        (KeyCase(PASS, 0, used=50, status=INACTIVE), KeyCase(PASS, age=70, status=INACTIVE)),
    ),
    UserCase(
        "two-active-keys",
        "two active keys",
        640,
        (KeyCase(PASS, age=80, used=1), KeyCase(PASS, age=60, used=2)),
    ),
    UserCase("key-age-89d", "one day before rotation is due", 640, (KeyCase(PASS, age=89, used=1),)),
    UserCase("key-age-91d", "one day after rotation was due", 640, (KeyCase(PASS, age=91, used=1),)),
    UserCase("unused-44d", "unused for 44 days", 640, (KeyCase(PASS, age=80, used=44),)),
    UserCase("unused-46d", "unused for 46 days", 640, (KeyCase(PASS, age=80, used=46),)),
    UserCase("comma,plus+at@example.com", "a name with a comma", 222, (KeyCase(FAIL, 1, used=9),)),
    UserCase("path-user", "a user under a path", 222, (KeyCase(FAIL, 0, used=9),), path="/apps/ci/"),
    UserCase("console-unused-60d", "password unused for 60 days", 222, console=60, mfa=True),
    UserCase("console-never-used", "password never used", 222, console="never", mfa=True),
    UserCase(
        "console-password-set-later",
        "password newer than the user",
        222,
        console=1,
        password_age=20,
        mfa=True,
    ),
    UserCase(
        "console-born-inactive",
        "console user, birth key off",
        222,
        (KeyCase(PASS, 0, status=INACTIVE),),
        console=1,
        mfa=True,
    ),
    UserCase("certificate-active", "an active signing certificate", 900, certificates=(True,)),
    UserCase("certificates-mixed", "one active, one not", 900, certificates=(False, True)),
    UserCase("nobody", "a user with nothing at all", 60),
    UserCase(
        "born-hours-ago", "birth key of a few hours: too young to be called unused", 0.2, (KeyCase(FAIL, 1),)
    ),
    UserCase(
        "born-expired",
        "birth key in AWS's third status, Expired: it signs nothing",
        320,
        (KeyCase(PASS, 0, used=100, status=EXPIRED),),
    ),
    UserCase("console-unused-91d", "password unused for 91 days", 222, console=91, mfa=True),
    UserCase("console-new-never-used", "password of a few hours, never used", 0.2, console="never"),
    UserCase(
        "tagged",
        "tags that describe the user",
        330,
        (KeyCase(PASS, age=20, used=1),),
        tags=(("owner", "payments@example.com"), ("team", "payments")),
    ),
    UserCase("n" * 64, "the longest name IAM accepts", 330, (KeyCase(FAIL, 2, used=1),)),
)
