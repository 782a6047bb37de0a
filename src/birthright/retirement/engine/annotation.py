"""The key's description, as the console shows it: a tag of the user whose name is the key's id."""

import re

from birthright.errors import ReadError
from birthright.retirement.engine.task import Paused, RetirementTask
from birthright.retirement.model import Intent
from birthright.times import format_instant

_LONGEST = 256
_FORBIDDEN = re.compile(r"[^\w .:/=+@-]", re.ASCII)


def annotate(work: RetirementTask, done: str) -> None:
    """Say what was done, when and why, if the plan asks for it. A tag that AWS refuses stops nothing."""
    r = work.retirement
    if not r.annotate:
        return
    said = f"{done} by birthright {format_instant(work.now())} {r.ticket}".strip()
    value = _FORBIDDEN.sub("_", said)[:_LONGEST]
    intent = Intent(call="annotate", at=work.now(), access_key_id=r.access_key_id)
    try:
        request = work.carry_out(
            intent, lambda go: work.iam.tag(go, r.user_name, r.access_key_id, value), {"value": value}
        )
    except (Paused, ReadError):
        if work.retirement.intent is not None:
            work.record("outcome", "annotate", seen={"made": None, "why": "the answer was lost"}, intent=None)
        return
    work.record("outcome", "annotate", request, seen={"made": True}, intent=None)
