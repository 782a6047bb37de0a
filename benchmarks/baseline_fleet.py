"""Credential reports of an organization the way boto3 users collect them: threads, a client an account."""

import csv
import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

_ROLE = "birthright"


def main(threads: int) -> None:
    """Print how many rows the reports of all active accounts hold, and how many calls that took."""
    organizations = boto3.client("organizations")
    pages = organizations.get_paginator("list_accounts").paginate()
    accounts = [account for page in pages for account in page["Accounts"] if account["Status"] == "ACTIVE"]
    sts = boto3.client("sts", config=Config(max_pool_connections=threads))
    own = sts.get_caller_identity()["Account"]
    # One session for all: a session an account would read botocore's models ten thousand times.
    shared = boto3.session.Session()

    def rows(account: dict[str, str]) -> tuple[int, int]:
        keys = {}
        if account["Id"] != own:
            arn = f"arn:aws:iam::{account['Id']}:role/{_ROLE}"
            got = sts.assume_role(RoleArn=arn, RoleSessionName="baseline")["Credentials"]
            keys = {
                "aws_access_key_id": got["AccessKeyId"],
                "aws_secret_access_key": got["SecretAccessKey"],
                "aws_session_token": got["SessionToken"],
            }
        iam = shared.client("iam", **keys)
        calls = 2 + bool(keys)
        while iam.generate_credential_report()["State"] != "COMPLETE":
            calls += 1
            time.sleep(1)
        report = iam.get_credential_report()["Content"].decode()
        return len(list(csv.DictReader(io.StringIO(report)))), calls

    # Clients are made one at a time: botocore says that is not safe for threads.
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(rows, accounts))
    print(sum(number for number, _ in found), sum(calls for _, calls in found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
