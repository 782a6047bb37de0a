"""The least IAM policy for reading, made from what the reads declare."""

from birthright.sources.aws.iam import READS

_REPORT_ONLY = ("GenerateCredentialReport", "GetCredentialReport")


def read_policy(depth: str, partition: str) -> dict[str, object]:
    """Return an IAM policy document that allows what a scan of that depth asks for, and nothing else."""
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
