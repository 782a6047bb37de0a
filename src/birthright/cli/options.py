"""Options that belong together reach a command as one frozen request, which is all that it passes on.

What a group becomes is named, not imported: help has to appear at once.
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from birthright.operations.workspace import Workspace

Command = Callable[..., Any]
PATH = click.Path(path_type=Path)
_REQUESTS = "birthright.operations.requests"


def grouped(name: str, struct: str, *options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Add options and give the command one value `name` of them, of a class in operations.requests.

    Options whose names are fields of the class are put into it; others reach the command as they are.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def collected(**values: Any) -> Any:  # noqa: ANN401 - click hands over what it parsed
            request = getattr(import_module(_REQUESTS), struct)
            picked = {field: values.pop(field) for field in request.__struct_fields__ if field in values}
            return command(**values, **{name: request(**picked)})

        given: Command = collected
        for option in reversed(options):
            given = option(given)
        return given

    return decorate


def workspace_options(*, journal: bool = False) -> Callable[[Command], Command]:
    """Add --store and --config, maybe --journal; the command gets the `workspace` they name."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def collected(**values: Any) -> Any:  # noqa: ANN401 - click hands over what it parsed
            places = {field: values.pop(field, None) for field in ("config", "store", "journal")}
            return command(**values, workspace=_workspace(**places))

        given: Command = collected
        for option in (CONFIG, _STORE, *((_JOURNAL,) if journal else ())):
            given = option(given)
        return given

    return decorate


def _workspace(config: Path | None, store: str | None, journal: str | None) -> "Workspace":
    from birthright.operations.workspace import Workspace

    return Workspace.load(config, store=store, journal=journal, warn=warn)


def warn(line: str) -> None:
    """Say something on stderr that is not wrong enough to stop for."""
    click.echo(f"birthright: {line}", err=True)


_STORE = click.option(
    "--store",
    metavar="DIR|s3://BUCKET/PREFIX",
    help="Where scans are kept (default: the user's data folder).",
)
CONFIG = click.option("--config", type=PATH, help="Settings to use instead of ./birthright.toml.")
_JOURNAL = click.option(
    "--journal",
    metavar="PLACE",
    help="The journal: a file, or postgresql://USER@HOST/DATABASE (default: journal.sqlite in the store).",
)
from_option = click.option(
    "--from",
    "saved",
    default="latest",
    show_default=True,
    metavar="SCAN_ID",
    help="Which saved scan to look at.",
)
source_option = click.option(
    "--from",
    "source",
    default="latest",
    show_default=True,
    metavar="SCAN_ID|FILE",
    help="A saved scan, or the file that 'scan --format json' wrote.",
)
policy_options = grouped(
    "policies",
    "PolicyChoice",
    click.option("--policy", "policies", multiple=True, metavar="ID",
                 help="Judge by this policy only (repeatable)."),
    click.option("--policies", "folder", type=PATH, metavar="DIR",
                 help="Policy pages of your own, judged with the built-in ones."),
    click.option("--set", "parameters", multiple=True, metavar="POLICY.PARAMETER=VALUE",
                 help="Change a policy's parameter, e.g. access-key-created-with-user.window=15s."),
)  # fmt: skip
waiver_options = grouped(
    "waivers",
    "WaiverChoice",
    click.option("--waivers", "file", type=PATH, metavar="FILE",
                 help="Findings that were accepted (default: ./waivers.yaml, if it is there)."),
    click.option("--no-waivers", "none", is_flag=True, help="Waive nothing."),
)  # fmt: skip
aws_options = grouped(
    "caller",
    "CallerChoice",
    click.option("--profile", metavar="NAME", help="The AWS profile to use."),
    click.option("--region", metavar="REGION", help="The AWS region; it decides the partition."),
    click.option("--role", metavar="NAME", help="The role to take on in accounts other than your own."),
    click.option("--external-id", metavar="ID", help="The external id the role asks for."),
)


def outcome_options(command: Command) -> Command:
    """Add the options that say what becomes of the findings: `outcome` and `waivers`."""
    from birthright.reports.formats import FORMATS

    endings = ", ".join(form.ending for form in FORMATS.values())
    add = grouped(
        "outcome",
        "OutcomeChoice",
        click.option("--since", metavar="last|SCAN_ID|FILE",
                     help="Say what is new, fixed or reappeared since that scan."),
        click.option("--fail-on", metavar="any|new|risk>=LEVEL",
                     help="Which failures make the exit code 1 (default: any); of two, with a comma, both."),
        click.option("--all", "passes", is_flag=True, help="Give what passes, too (not in terminal)."),
        click.option("--format", "form", type=click.Choice(list(FORMATS)), metavar="NAME",
                     help=f"What to print (default: terminal), or to write with -o: {', '.join(FORMATS)}."),
        click.option("-o", "--output", "files", type=PATH, multiple=True, metavar="FILE",
                     help="Write a file, whole or not at all; its ending says the format unless --format does"
                          f" ({endings}; repeatable)."),
        click.option("--notify", multiple=True, metavar="URL|@FILE",
                     help="Tell of new findings: an Apprise URL like slack://..., or a file with such URLs"
                          " (repeatable; also BIRTHRIGHT_NOTIFY)."),
    )  # fmt: skip
    return waiver_options(add(command))
