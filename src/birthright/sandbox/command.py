"""The command that starts a sandbox."""

from typing import TYPE_CHECKING, Any

import click

from birthright.errors import UsageError
from birthright.times import parse_instant

if TYPE_CHECKING:
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
@click.option("--partition", default="aws", show_default=True, help="aws, aws-cn, aws-us-gov …")
@click.option("--cases/--no-cases", default=True, help="With or without the named cases and root's key.")
@click.option("--latency-ms", default=0.0, help="Hold each answer back so many milliseconds.")
@click.option("--jitter-ms", default=0.0, help="Hold it back up to so many more.")
@click.option("--throttle", type=float, help="Refuse above so many calls a second per account.")
@click.option("--burst", type=float, help="Calls let through at once (default: one second's).")
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
def command(clock: str | None, allow: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - passed on
    """Serve a small AWS on this machine to try things on, until Ctrl-C.

    It has IAM, STS, Secrets Manager and Parameter Store.
    The first line printed is its URL; the others set up a shell.
    """
    import asyncio

    from birthright.sandbox.sandbox import Sandbox

    try:
        start = parse_instant(clock) if clock else None
    except ValueError:
        raise UsageError(f"--clock {clock!r} is not an ISO 8601 instant") from None
    box = Sandbox(clock=start, allow=allow or None, **options)
    try:
        asyncio.run(_serve(box))
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


async def _serve(box: "Sandbox") -> None:
    server = await box.start()
    lines = [box.url, "unset AWS_PROFILE AWS_SESSION_TOKEN"]
    lines += [f"export {name}={value}" for name, value in box.environment().items()]
    click.echo("\n".join(lines))
    async with server:
        await server.serve_forever()
