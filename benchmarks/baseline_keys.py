"""The exact answer the way boto3 users write it: ListUsers, then ListAccessKeys in a pool of threads."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import boto3
from botocore.config import Config


def main(threads: int) -> None:
    """Print how many active keys were created within seven seconds of their user."""
    iam = boto3.client("iam", config=Config(max_pool_connections=threads))
    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1000})
    users = [user for page in pages for user in page["Users"]]

    def born(user: dict[str, object]) -> int:
        keys = iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]
        gaps = [key["CreateDate"] - user["CreateDate"] for key in keys if key["Status"] == "Active"]
        return sum(timedelta() <= gap < timedelta(seconds=7) for gap in gaps)

    with ThreadPoolExecutor(threads) as pool:
        print(sum(pool.map(born, users)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
