"""The least IAM policy for `birthright report --push security-hub`."""


def push_policy(partition: str) -> dict[str, object]:
    """Return an IAM policy document that allows what a push asks for, and nothing else.

    What is imported belongs to an account's own (`default`) product.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ImportFindings",
                "Effect": "Allow",
                "Action": ["securityhub:BatchImportFindings"],
                "Resource": f"arn:{partition}:securityhub:*:*:product/*/default",
            },
            {
                "Sid": "ReadFindings",
                "Effect": "Allow",
                "Action": ["securityhub:GetFindings"],
                "Resource": "*",
            },
        ],
    }
