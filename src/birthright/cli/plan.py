"""`birthright plan`: what to do with the keys that fail, to be read before anything is changed."""

import io
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.aws.own_keys import own_keys
from birthright.cli.common import config_option, source_option, store_option
from birthright.cli.outcome import waiver_options, waivers_of
from birthright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from birthright.findings.model import Document
    from birthright.retirement.model import Terms
    from birthright.retirement.planning.candidates import PlanRequest
    from birthright.retirement.planning.plan import Plan
    from birthright.scans.request import Judging
    from birthright.settings import RetirementSettings, Settings

_REFUSED = 1


@click.command("plan")
@source_option
@click.option("--policy", multiple=True, metavar="ID", help="Plan for this policy's findings (repeatable).")
@click.option("--account", multiple=True, metavar="GLOB", help="Plan for these accounts (repeatable).")
@click.option("--user", multiple=True, metavar="GLOB", help="Plan for these users, like 'ci-*' (repeatable).")
@click.option("--key", multiple=True, metavar="KEYID", help="Plan for this key (repeatable).")
@click.option(
    "--handover",
    metavar="SPEC",
    help="Where the secrets of new keys go, like secrets-manager:birthright/{user_name}.",
)
@waiver_options
@click.option("--allow-ses", is_flag=True, help="Plan also for keys last used for ses (SMTP passwords).")
@click.option("--annotate", is_flag=True, help="Let apply say in a key's description that it was disabled.")
@click.option(
    "--expires",
    default="24h",
    show_default=True,
    metavar="DURATION",
    help="How long the plan can be applied.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "markdown"]),
    help="What to print (default: terminal), or to write with -o.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Write a file, whole or not at all; its ending (.json, .md, .txt) says the format"
    " unless --format does (repeatable).",
)
@store_option
@config_option
def command(**options: Any) -> int:  # noqa: ANN401 - click hands over what it parsed
    """Plan how to retire the keys that fail: a file to review, and then to apply.

    It asks AWS nothing and changes nothing. Keys that nobody uses are to be disabled and later deleted,
    keys in use to be rotated; what is too uncertain for either is refused, with what to do about it.

    \b
    birthright plan -o plan.json     the plan, for 'birthright apply plan.json'
    birthright plan -o plan.md       the same for people, for a change request

    Exit code 1 says that something was refused and a person must look; 0 that nothing was, also if
    there is nothing to plan.
    """  # noqa: D301 - click wants the control character itself
    from birthright.cli.output import tell
    from birthright.text import printable

    _check_outputs(options["output"], options["form"])
    plan, unmatched = _planned(options)
    _deliver(plan, options["output"], options["form"])
    for text in unmatched:
        click.echo(f"birthright: no failing finding matches {printable(text)}", err=True)
    if options["form"] in {None, "terminal"} and (plan.of("retire") or plan.of("rotate")):
        tell(_next(options))
    return _REFUSED if plan.of("refuse") else 0


def _planned(options: dict[str, Any]) -> "tuple[Plan, list[str]]":
    """Make the plan; return it with the filters that matched nothing."""
    from birthright.cli.common import warn_incomplete
    from birthright.retirement.planning.candidates import unmatched
    from birthright.retirement.planning.plan import build_plan
    from birthright.settings import load_settings
    from birthright.times import now

    settings = load_settings(options["config"])
    choices = _choices(options, settings)
    document = _document(options, settings, _waiving(options, settings))
    plan = build_plan(document, _terms(settings.retirement), choices, now())
    warn_incomplete(document.scan, complete=document.complete)
    return plan, unmatched(document, choices)


def _terms(settings: "RetirementSettings") -> "Terms":
    from birthright.retirement.model import Terms
    from birthright.times import parse_duration

    return Terms(
        in_use=parse_duration(settings.in_use),
        quarantine=parse_duration(settings.quarantine),
        quiet=parse_duration(settings.quiet),
        deadline=parse_duration(settings.deadline),
    )


def _choices(options: dict[str, Any], settings: "Settings") -> "PlanRequest":
    from birthright.retirement.planning.candidates import PlanRequest

    retirement = settings.retirement
    return PlanRequest(
        policies=options["policy"],
        accounts=options["account"],
        users=options["user"],
        keys=options["key"],
        handover=options["handover"] or retirement.handover,
        protected=retirement.protected,
        own_key_ids=frozenset(own_keys(settings.scan.profile)),
        max_keys=retirement.max_keys,
        max_share=retirement.max_share,
        allow_ses=options["allow_ses"] or retirement.allow_ses,
        annotate=options["annotate"],
        expires=_expires(options["expires"]),
    )


def _expires(text: str) -> "timedelta":
    from birthright.times import parse_duration

    try:
        return parse_duration(text)
    except UsageError as error:
        raise UsageError(f"--expires: {error.message}", error.hint) from error


def _waiving(options: dict[str, Any], settings: "Settings") -> "Callable[[Document], Document]":
    """Return what marks the findings that are accepted today. Raises UsageError."""
    from birthright.times import now
    from birthright.waivers.apply import waive

    waivers = waivers_of(options, settings.scan)
    return lambda document: document if waivers is None else waive(document, waivers, now().date())


def _document(
    options: dict[str, Any], settings: "Settings", waived: "Callable[[Document], Document]"
) -> "Document":
    """Read a findings file, or judge a saved scan again."""
    from birthright.findings.read import load_document

    source = options["source"]
    if not source.endswith(".json") and not Path(source).is_file():
        return _judged(options, settings, waived)
    document = load_document(Path(source))
    judged = {line.id for line in document.policies}
    for policy in options["policy"]:
        if policy not in judged:
            hint = f"it was judged by {', '.join(sorted(judged))}" if judged else ""
            raise UsageError(f"{source} has no policy {policy!r}", hint)
    return waived(document)


def _judged(
    options: dict[str, Any], settings: "Settings", waived: "Callable[[Document], Document]"
) -> "Document":
    """Judge a saved scan's keys as they were judged; what passes is asked for, too: it names other keys.

    Of an organization's findings only those are held that a plan can need.
    """
    import msgspec

    from birthright.cli.common import judge, open_store, pages_of, saved_selection
    from birthright.policies.pack import choose
    from birthright.retirement.planning.candidates import needed
    from birthright.scans.record import load_info, scan_dir

    place = open_store(options["store"], settings)
    info = load_info(place, options["source"])
    selection = _with(saved_selection(info), options["policy"])
    pages = pages_of(selection)
    choose(pages, options["policy"])
    pages = [page for page in pages if page.front.subject == "access-key"]
    document = waived(judge(scan_dir(place, info.id), info, pages, selection, passes=True))
    return msgspec.structs.replace(document, findings=tuple(needed(document.findings)))


def _with(saved: "Judging", policies: tuple[str, ...]) -> "Judging":
    """Add policies to those that judged a scan; none named: all did."""
    import msgspec

    if saved.policies:
        return msgspec.structs.replace(saved, policies=tuple(dict.fromkeys((*saved.policies, *policies))))
    return saved


def _check_outputs(files: tuple[Path, ...], form: str | None) -> None:
    """Refuse, before anything is read, files that could not be written. Raises UsageError, StoreError."""
    from birthright.cli.output import check_outputs
    from birthright.retirement.show.formats import format_of

    if form:
        check_outputs(files, form)
    for file in files:
        # Its own list of formats is not a plan's: with a format said, it looks at the place only.
        check_outputs([file], form or "said")
        if not form:
            format_of(file)


def _deliver(plan: "Plan", files: tuple[Path, ...], form: str | None) -> None:
    """Write the files, each whole or not at all; print unless --format sent the output into a file."""
    from birthright.atomic import write_atomically
    from birthright.cli.output import silence_stdout
    from birthright.retirement.show.formats import format_of, renderer

    for file in files:
        out = io.StringIO()
        renderer(form or format_of(file))(plan, out)
        write_atomically(file, out.getvalue().encode())
    if files and form:
        return
    try:
        renderer(form or "terminal")(plan, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()


def _next(options: dict[str, Any]) -> str:
    """Say how the plan is applied."""
    from birthright.retirement.show.formats import format_of

    form = options["form"]
    saved = next((file for file in options["output"] if (form or format_of(file)) == "json"), None)
    if saved is None:
        return "Keep it with 'birthright plan -o plan.json', then 'birthright apply plan.json'."
    return f"Apply it with 'birthright apply {shlex.quote(str(saved))}'."
