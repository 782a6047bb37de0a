"""birthright: finds the AWS IAM access keys that were handed out together with their user.

The names in `__all__` are the public Python API, which docs/api.md describes; everything else is private.
They are imported when they are first used, so that importing birthright costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

from birthright.version import __version__

if TYPE_CHECKING:
    from birthright.api import (
        Scan,
        apply,
        apply_due,
        judge_user,
        list_scans,
        load_plan,
        open_scan,
        retirements,
        save_plan,
        scan,
        scan_async,
        undo,
        verify_evidence,
    )
    from birthright.errors import (
        AccessDeniedError,
        AnswerError,
        BirthrightError,
        CredentialsError,
        HandoverError,
        JournalError,
        LockedError,
        NoSuchUserError,
        PageError,
        PlanError,
        QueryError,
        ReadError,
        RefusedError,
        StoreError,
        ThrottledError,
        UncertainError,
        UsageError,
    )
    from birthright.findings.model import Evidence, Finding

__all__ = [
    "AccessDeniedError",
    "AnswerError",
    "BirthrightError",
    "CredentialsError",
    "Evidence",
    "Finding",
    "HandoverError",
    "JournalError",
    "LockedError",
    "NoSuchUserError",
    "PageError",
    "PlanError",
    "QueryError",
    "ReadError",
    "RefusedError",
    "Scan",
    "StoreError",
    "ThrottledError",
    "UncertainError",
    "UsageError",
    "__version__",
    "apply",
    "apply_due",
    "judge_user",
    "list_scans",
    "load_plan",
    "open_scan",
    "retirements",
    "save_plan",
    "scan",
    "scan_async",
    "undo",
    "verify_evidence",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import what a public name stands for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = {"Evidence": "findings.model", "Finding": "findings.model"}.get(name)
    home = home or ("errors" if name.endswith("Error") else "api")
    found = getattr(import_module(f"birthright.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
