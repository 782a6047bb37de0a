"""The least IAM policies for reading an account and an organization, made from what the reads declare."""

from birthright.aws.identifiers import role_arn
from birthright.sources import organization
from birthright.sources.iam import READS

_TAGS_ONLY = "ListTagsForResource"
_REPORT_ONLY = ("GenerateCredentialReport", "GetCredentialReport")


def read_policy(depth: str, partition: str) -> dict[str, object]:
    """Return an IAM policy document that allows the calls of a scan of that depth, and nothing else."""
    reads = {name: READS[name] for name in (_REPORT_ONLY if depth == "report" else READS)}
    resources = {"*": "*", "user": f"arn:{partition}:iam::*:user/*"}
    statements = [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Action": sorted(action for action, kind in reads.values() if kind == narrowed),
            "Resource": resources[narrowed],
        }
        for sid, narrowed in (("ReadAccount", "*"), ("ReadUsers", "user"))
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [statement for statement in statements if statement["Action"]],
    }


def organization_policy(partition: str, role: str, *, tags: bool = False) -> dict[str, object]:
    """Return an IAM policy document for scanning an organization by assuming `role` in its accounts.

    role: a name, with its path if it has one. tags: whether accounts are chosen by their tags.
    """
    reads = [action for name, (action, _) in organization.READS.items() if tags or name != _TAGS_ONLY]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "ReadOrganization", "Effect": "Allow", "Action": sorted(reads), "Resource": "*"},
            {
                "Sid": "TakeOnRole",
                "Effect": "Allow",
                "Action": ["sts:AssumeRole"],
                "Resource": role_arn(partition, "*", role),
            },
        ],
    }
