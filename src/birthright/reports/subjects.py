"""What the formats share about a finding: whose it is, in words, and where it stands in frameworks."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from birthright.aws.identifiers import partition_of
from birthright.facts.answers import ROOT_NAME
from birthright.findings.model import Document, Finding
from birthright.policies.page import Page
from birthright.reports.remedies import NEXT
from birthright.text import printable
from birthright.times import format_duration, format_instant

NAME = "birthright"
# Where IAM, which belongs to no region, is kept: its home in each partition.
_HOMES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
_RETIRED = "retired"
_CUT = "…"
_BY_HAND = "Mend it by hand, as the policy's page says."
_NOT_JUDGED = "Let birthright read what is missing, and scan again."


def is_root(finding: Finding) -> bool:
    """Whether it is about root, not about a user who may be called so."""
    return finding.user_name == ROOT_NAME


def whose(finding: Finding) -> str:
    """Name the user, root or the account, printable."""
    if finding.user_name is None:
        return f"account {printable(finding.account_id)}"
    return "root" if is_root(finding) else f"user {printable(finding.user_name)}"


def subject(finding: Finding) -> str:
    """Name the subject in one printable phrase: `access key AKIA... of user ann`, `root`, `account 1...`."""
    if finding.access_key_id:
        return f"access key {printable(finding.access_key_id)} of {whose(finding)}"
    if finding.subject:
        return f"{printable(finding.subject)} of {whose(finding)}"
    if finding.created_at:
        return f"access key of {whose(finding)} made {format_instant(finding.created_at)}"
    return whose(finding)


def sentence_of(finding: Finding) -> str:
    """Say the finding in one printable sentence: subject, account, reason."""
    place = "" if finding.user_name is None else f" in account {printable(finding.account_id)}"
    return f"{subject(finding)}{place}: {printable(finding.reason)}"


def age_of(finding: Finding, as_of: datetime) -> str:
    """Say how long a finding has been known: `new`, `again`, or `12 d`; nothing if it was not compared."""
    if finding.state == "new" or finding.first_seen is None:
        return finding.state or ""
    if finding.state == "reappeared":
        return "again"
    return " ".join(format_duration(max(as_of - finding.first_seen, timedelta())).split()[:2])


def what_to_do(finding: Finding) -> str:
    """Say what mends it, in a sentence or two."""
    if finding.verdict == "unknown":
        return _NOT_JUDGED
    return NEXT[finding.remedy] or _BY_HAND


def partition(finding: Finding) -> str:
    """Return the AWS partition; `aws` where the ARN was not read."""
    return partition_of(finding.user_arn) or "aws"


def home_region(of_partition: str) -> str:
    """Return the region where AWS keeps what is global, IAM too."""
    return _HOMES.get(of_partition, _HOMES["aws"])


def titles(document: Document) -> dict[str, str]:
    """Return the policies' titles by id."""
    return {line.id: printable(line.title) for line in document.policies}


def controls(page: Page | None) -> Iterator[tuple[str, str, str]]:
    """Give framework, version and control of each place where the policy stands; retired ones left out."""
    if page is None:
        return
    for framework, versions in page.front.frameworks.items():
        for version, control in versions.items():
            if control != _RETIRED:
                yield framework, version, control


def clip(text: str, most: int) -> str:
    """Shorten to at most so many characters; what is cut ends with an ellipsis."""
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT


def one_line(text: str) -> str:
    """Write Markdown's lines as one, printable."""
    return printable(" ".join(text.split()))


def first_paragraph(markdown: str) -> str:
    """Return the first paragraph as one line."""
    return one_line(markdown.strip().partition("\n\n")[0])
