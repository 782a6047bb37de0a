"""The text for whoever is handed a bundle: what is in it, how to check it, and what it does not prove."""

from collections.abc import Iterator

from birthright.evidence.manifest import JOURNAL, Manifest
from birthright.findings.model import Document
from birthright.text import counted, printable
from birthright.times import format_instant

_SHOWN = 20
_WHOLE = frozenset({"ok", "skipped"})

_FILES = """\
| file | what it is |
|---|---|
| `manifest.json` | what this is, how it was judged, and the size and SHA-256 of every file below |
| `manifest.json.sig`, `public-key.pem` | the signature over `manifest.json` (Ed25519, 64 bytes) and the key \
it was made with; only if it is signed |
| `SHA256SUMS` | the digests once more, for `sha256sum -c` |
| `scan/scan.json` | the scan: when, with what, which files its facts are |
| `scan/principals`, `access_keys`, `coverage`, `accounts` | the facts: what AWS said, not judged (Parquet) |
| `csv/` | the same rows as CSV; a text that a spreadsheet would run has an apostrophe before it |
| `findings.json` | every verdict, passes too, with what it rests on (`birthright.findings/1`) |
| `policies/` | the pages that judged: the text people read is the rule that ran |
| `waivers.yaml` | which failures are accepted, by whom and until when; only if there is one |
| `journal.json` | what was done to access keys in these accounts, step by step; only if there is one |
| `reports/` | the credential reports as AWS gave them; only if they were asked for |
"""

_BY_HAND = """\
## Check it

With birthright, on any machine; it needs no AWS credentials and no network:

    birthright evidence verify bundle.zip --public-key KEY-YOU-WERE-GIVEN.pem

It checks the signature and every digest, runs the policies in here on the facts in here, and compares.

Without it:

    unzip bundle.zip -d bundle && cd bundle
    openssl pkeyutl -verify -pubin -inkey public-key.pem -rawin -in manifest.json -sigfile manifest.json.sig
    openssl pkey -pubin -in public-key.pem -outform DER | sha256sum
    sha256sum -c SHA256SUMS
    sha256sum SHA256SUMS; grep -A2 '"SHA256SUMS"' manifest.json

The first line of openssl checks the signature; the second prints the key's fingerprint, which you should have
from somebody else than who gave you the bundle. The last line prints two digests that must be the same.

## The answers' digests

Column `sha256` of `csv/coverage.csv` has, for each account and source, the SHA-256 of what AWS answered.
GetCredentialReport: of the report itself. AWS gives the same report for four hours, so whoever asks within
that time gets the same digest:

    aws iam get-credential-report --query Content --output text | base64 -d | sha256sum

Others: of the answer's `<...Result>` element as it came; of several answers, the SHA-256 of their digests,
sorted, each in hexadecimal on a line of its own.

## What it does not prove

- It says what birthright read and how it judged that. It cannot prove that AWS said so: whoever made the
  bundle could have made up the facts. The report's digest, CloudTrail (the calls of that time) and a scan of
  your own can be compared with it.
- A signature says which key signed. That it is the right key, and when it signed, is not in here.
- It is of one instant. What changed later is not in it.
- What was not read is not judged; verdict `unknown` is never a pass.
"""


def readme(manifest: Manifest, document: Document, *, waivers: bool) -> str:
    """Write the whole text; what was not read comes first. `waivers`: whether there are any."""
    said = [*_head(manifest), *_lacking(document), *_said(manifest, document)]
    if not waivers:
        said.append("There are no waivers in it.\n")
    return "\n".join([*said, "## What is in it\n", _FILES, _BY_HAND])


def _head(manifest: Manifest) -> Iterator[str]:
    scan = manifest.scan
    yield f"# Access keys: evidence of scan {scan.id}\n"
    yield (
        f"birthright {scan.tool_version} read AWS for this scan; its instant is {format_instant(scan.as_of)}."
        f" birthright {manifest.tool_version} judged the facts and made this bundle.\n"
    )


def _lacking(document: Document) -> Iterator[str]:
    lines = [line for line in document.coverage if line.status not in _WHOLE]
    if document.complete and not document.scan.notes:
        yield "Everything that was asked for was answered.\n"
        return
    yield "**Not everything could be read.** What is missing was not judged:\n"
    yield from (f"- {_literal(note)}" for note in document.scan.notes)
    for line in lines[:_SHOWN]:
        yield f"- account {line.account_id}, {line.source}: {line.status} {_literal(line.detail)}".rstrip()
    if len(lines) > _SHOWN:
        yield f"- and {len(lines) - _SHOWN} more: see `csv/coverage.csv`"
    yield ""


def _said(manifest: Manifest, document: Document) -> Iterator[str]:
    count = document.summary
    yield (
        f"{counted(count.accounts, 'account')}, {counted(count.principals, 'principal')},"
        f" {counted(count.access_keys, 'access key')}. {counted(count.fail, 'failure')}, {count.waived} more"
        f" accepted, {count.unknown} unknown, {count.passed} passed.\n"
    )
    if manifest.signed_by:
        yield f"It is signed. The key's fingerprint (SHA-256 of its DER form) is\n`{manifest.signed_by}`.\n"
    else:
        yield "It is **not signed**: anybody could have made or changed it.\n"
    if manifest.masked:
        yield (
            "Access key ids are masked; user names are not. Digests of answers and of the journal's steps are"
            " those of the unmasked text, so they can confirm an id that somebody already suspects.\n"
        )
    yield _journal(manifest)


def _journal(manifest: Manifest) -> str:
    line = manifest.journal
    if line is None:
        return "No journal of retirements was at hand.\n"
    state = f"It is broken: {_literal(line.problem)}." if line.problem else "It was whole."
    return (
        f"`{JOURNAL}` has {counted(line.retirements, 'retirement')} out of a journal of"
        f" {counted(line.steps, 'step')}, whose last digest is `{line.head or 'none'}`;"
        f" 'birthright journal verify' prints the same. {state}\n"
    )


def _literal(text: str) -> str:
    """Show a text of a stranger's as it is: no Markdown, no HTML."""
    shown = printable(text).replace("`", "'")
    return f"`{shown}`" if shown else ""
