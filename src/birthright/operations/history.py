"""How many findings there were, scan by scan."""

from birthright.errors import UsageError
from birthright.history.earlier import SavedScan
from birthright.history.series import Series, series_of
from birthright.operations.judging import judging_of, pages_of
from birthright.operations.requests import PolicyChoice
from birthright.operations.workspace import Workspace
from birthright.scans.record import load_info


def history(
    workspace: Workspace, policies: PolicyChoice, limit: int, account: str | None = None
) -> list[Series]:
    """Judge the newest scans by today's policies, those of the same accounts together, newest first.

    Raises UsageError where there is none, StoreError, PageError.
    """
    judging = judging_of(policies, workspace.settings)
    pages = pages_of(judging)
    newest = SavedScan(workspace.store, load_info(workspace.store), pages, judging)
    series = series_of(newest, limit, account)
    if not series and account is None:
        hint = "'birthright scan --resume latest' goes on with the last one"
        raise UsageError("no scan was finished yet", hint)
    if not series:
        hint = "'birthright history' shows all accounts"
        raise UsageError(f"none of the last {limit} scans asked for account {account}", hint)
    return series
