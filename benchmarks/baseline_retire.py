"""The calls of a retirement's first day the way boto3 users write them, without asking what they answer.

For every key: ListAccessKeys, GetAccessKeyLastUsed, UpdateAccessKey, ListAccessKeys, GetAccessKeyLastUsed.
The arguments are the plan, the role to take on, and how many threads there are. Nothing is written down.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config


def main(plan: str, role: str, threads: int) -> None:
    """Disable the plan's keys, one of each account in turn."""
    by_account: dict[str, list[dict[str, Any]]] = {}
    for item in json.loads(Path(plan).read_text())["items"]:
        by_account.setdefault(item["account_id"], []).append(item)
    own = boto3.client("sts").get_caller_identity()["Account"]
    clients = {account: _client(account, "" if account == own else role) for account in by_account}

    def disable(item: dict[str, Any]) -> None:
        iam, user, key = clients[item["account_id"]], item["user_name"], item["access_key_id"]
        iam.list_access_keys(UserName=user)
        iam.get_access_key_last_used(AccessKeyId=key)
        iam.update_access_key(UserName=user, AccessKeyId=key, Status="Inactive")
        iam.list_access_keys(UserName=user)
        iam.get_access_key_last_used(AccessKeyId=key)

    turns = zip_longest(*by_account.values())
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(disable, [item for turn in turns for item in turn if item]))


def _client(account: str, role: str) -> Any:  # noqa: ANN401 - botocore makes its clients at run time
    config = Config(max_pool_connections=64)
    keys = {}
    if role:
        arn = f"arn:aws:iam::{account}:role/{role}"
        made = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="baseline")["Credentials"]
        keys = {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
            "aws_session_token": made["SessionToken"],
        }
    return boto3.client("iam", config=config, **keys)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
