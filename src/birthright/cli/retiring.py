"""What the commands that change AWS share: who asks, where the journal is, and the run itself."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from types import FrameType

    from birthright.retirement.engine.run import Job, Stop
    from birthright.retirement.engine.state_machine import Result
    from birthright.retirement.journal.journal import Journal
    from birthright.retirement.model import Retirement
    from birthright.settings import Settings

_EVERY = 10.0  # seconds


def aws_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say who changes AWS."""
    for option in (
        click.option("--external-id", metavar="ID", help="The external id the role asks for."),
        click.option("--role", metavar="NAME", help="The role to take on in accounts other than your own."),
        click.option("--region", metavar="REGION", help="The AWS region; it decides the partition."),
        click.option("--profile", metavar="NAME", help="The AWS profile to use."),
    ):
        command = option(command)
    return command


class Retiring:
    """A run that changes AWS: the journal, the accounts and the tools, as the options say."""

    def __init__(self, options: dict[str, Any], journal: "Journal", settings: "Settings") -> None:
        from birthright.aws.clock import AwsClock
        from birthright.aws.own_keys import own_keys
        from birthright.aws.session import AwsSession
        from birthright.retirement.engine.accounts import AccountDirectory, RetiringRole
        from birthright.retirement.engine.run import Stop, holder
        from birthright.retirement.engine.task import RunContext
        from birthright.times import parse_duration

        self.settings = settings.retirement
        self.stop: Stop = Stop()
        clock = AwsClock()
        role = RetiringRole(options["role"], options["external_id"]) if options["role"] else None
        scan = settings.scan
        session = AwsSession(options["profile"] or scan.profile, options["region"] or scan.region)
        self.accounts: AccountDirectory = AccountDirectory(session, clock, role, self.stop.sleep)
        self.tools: RunContext = RunContext(
            journal=journal,
            now=clock.now,
            sleep=self.stop.sleep,
            stopping=self.stop.is_set,
            holder=holder(),
            lease=parse_duration(settings.retirement.lease),
            own_key_ids=frozenset(own_keys(options["profile"] or scan.profile)),
        )

    def run(self, retirements: "Sequence[Retirement]", job: "Job") -> "list[Result]":
        """Do a job on all of them, with progress on stderr; Ctrl-C ends it after the steps in hand."""
        from birthright.retirement.engine.run import run_all

        results: list[Result] = []
        with _interruptible(self.stop), _progress(len(retirements)) as tell:
            for result in run_all(retirements, job, self.tools, self.accounts):
                results.append(result)
                tell(result)
        return results


@contextmanager
def open_retiring(options: dict[str, Any]) -> "Iterator[Retiring]":
    """Open the journal and make ready to change AWS. Raises BirthrightError."""
    from birthright.cli.journal import journal_place
    from birthright.retirement.journal.opening import open_journal
    from birthright.settings import load_settings

    settings = load_settings(options["config"])
    journal = open_journal(journal_place(options["journal"], options["store"], settings))
    try:
        yield Retiring(options, journal, settings)
    finally:
        journal.close()


@contextmanager
def _interruptible(stop: "Stop") -> "Iterator[None]":
    """Let Ctrl-C and SIGTERM end the run in order; the second Ctrl-C ends it as usual."""

    def ask(_number: int, _frame: "FrameType | None") -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        click.echo("\nstopping: what is being worked on comes to the end of its step", err=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(total: int) -> "Iterator[Callable[[Result], None]]":
    """Show how far the run is: a bar on a terminal, a line every ten seconds elsewhere."""
    if sys.stderr.isatty():
        yield from _bar(total)
    else:
        yield from _lines(total)


def _bar(total: int) -> "Iterator[Callable[[Result], None]]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("keys", total=total)
        yield lambda _: progress.advance(task)


def _lines(total: int) -> "Iterator[Callable[[Result], None]]":
    import time

    said, done = time.monotonic(), 0

    def tell(_: "Result") -> None:
        nonlocal said, done
        done += 1
        if time.monotonic() - said >= _EVERY:
            said = time.monotonic()
            click.echo(f"{done} of {total} keys", err=True)

    yield tell
