"""The command that starts a sandbox."""

from typing import TYPE_CHECKING, Any

import click

from birthright.errors import UsageError
from birthright.times import parse_instant

if TYPE_CHECKING:
    from birthright.sandbox.faults import Fault
    from birthright.sandbox.organization import State
    from birthright.sandbox.sandbox import Sandbox


@click.command("sandbox")
@click.option(
    "--users",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Users besides the scanner's own.",
)
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same account.")
@click.option("--account-id", default="111122223333", show_default=True, help="The account's id.")
@click.option(
    "--accounts",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="So many accounts, ids counting up; the others are entered by AssumeRole.",
)
@click.option(
    "--organization/--no-organization",
    default=None,
    help="Whether they are one organization; default: if there are several.",
)
@click.option(
    "--account-state",
    "states",
    multiple=True,
    metavar="STATE=N",
    help="So many accounts in that state, e.g. SUSPENDED=3 (default: some, see docs/sandbox.md).",
)
@click.option(
    "--account-fields",
    type=click.Choice(["both", "state", "status"]),
    default="both",
    show_default=True,
    help="Which of State and Status Organizations answers.",
)
@click.option(
    "--delegate", "delegates", multiple=True, metavar="ID", help="Account that may list the others, too."
)
@click.option("--partition", default="aws", show_default=True, help="aws, aws-cn, aws-us-gov …")
@click.option("--cases/--no-cases", default=True, help="With or without the named cases and root's key.")
@click.option("--latency-ms", default=0.0, help="Hold each answer back so many milliseconds.")
@click.option("--jitter-ms", default=0.0, help="Hold it back up to so many more.")
@click.option("--throttle", type=float, help="Refuse above so many calls a second per account.")
@click.option("--burst", type=float, help="Calls let through at once (default: one second's).")
@click.option("--sts-throttle", type=float, help="The same for STS, which --throttle leaves out (AWS: 600).")
@click.option(
    "--longest-session",
    type=click.IntRange(min=3600, max=43_200),
    default=3600,
    show_default=True,
    help="Seconds a session of a role may last.",
)
@click.option("--fault", "faults", multiple=True, metavar="JSON", help="A trouble, see docs/sandbox.md.")
@click.option("--clock", metavar="ISO", help="Where the sandbox's time starts; default: now.")
@click.option("--freeze", "frozen", is_flag=True, help="Let the sandbox's time stand still.")
@click.option(
    "--report",
    type=click.Choice(["cached", "none"]),
    default="cached",
    show_default=True,
    help="Start with a credential report two hours old, or without.",
)
@click.option("--report-seconds", default=0.0, help="How long a new report takes to be made.")
@click.option(
    "--consistency-seconds", default=0.0, help="How long new keys are not accepted and listings are behind."
)
@click.option("--last-use-lag-seconds", default=0.0, help="How long a key's use is not shown.")
@click.option("--last-use-span-seconds", default=0.0, help="How long after a use no other is recorded.")
@click.option("--allow", multiple=True, metavar="PATTERN", help="Actions the scanner may use.")
@click.option("--port", default=0, help="Port; default: any free one.")
@click.option("--listen", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--let-anyone-on-the-network-in",
    "allow_remote",
    is_flag=True,
    help="Allow an address that is not loopback; the credentials are public.",
)
def command(
    clock: str | None,
    allow: tuple[str, ...],
    states: tuple[str, ...],
    faults: tuple[str, ...],
    **options: Any,  # noqa: ANN401 - passed on
) -> None:
    """Serve a small AWS on this machine to try things on, until Ctrl-C.

    It has IAM, STS, Organizations, Secrets Manager and Parameter Store.
    The first line printed is its URL; the others set up a shell.
    """
    import asyncio

    from birthright.sandbox.options import SandboxOptions
    from birthright.sandbox.sandbox import Sandbox

    try:
        start = parse_instant(clock) if clock else None
    except ValueError:
        raise UsageError(f"--clock {clock!r} is not an ISO 8601 instant") from None
    options |= {"account_states": _states(states), "faults": [_fault(text) for text in faults]}
    box = Sandbox(SandboxOptions(clock=start, allow=allow or None, **options))
    try:
        asyncio.run(_serve(box))
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


def _states(texts: tuple[str, ...]) -> "dict[State, int] | None":
    """Read `STATE=N`, several times; none at all is the usual states."""
    from birthright.sandbox.organization import STATES

    found: dict[State, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        state = next((one for one in STATES if one == name), None)
        if state is None or not (number.isascii() and number.isdecimal()):
            raise UsageError(f"--account-state {text!r} is not STATE=N", f"states: {', '.join(STATES)}")
        found[state] = int(number)
    return found or None


def _fault(text: str) -> "Fault":
    import msgspec

    from birthright.sandbox.faults import Fault

    try:
        return msgspec.json.decode(text, type=Fault)
    except (ValueError, msgspec.DecodeError) as error:
        raise UsageError(f"--fault {text!r} is not understood: {error}", "see docs/sandbox.md") from None


async def _serve(box: "Sandbox") -> None:
    server = await box.start()
    lines = [box.url, "unset AWS_PROFILE AWS_SESSION_TOKEN"]
    lines += [f"export {name}={value}" for name, value in box.environment().items()]
    click.echo("\n".join(lines))
    async with server:
        await server.serve_forever()
