"""The plain boto3 script people write: fetch the credential report, scan it with the csv module."""

import csv
import io
import time
from datetime import datetime

import boto3


def main() -> None:
    """Print the keys that were created within seven seconds of their user."""
    iam = boto3.client("iam")
    while iam.generate_credential_report()["State"] != "COMPLETE":
        time.sleep(1)
    content = iam.get_credential_report()["Content"].decode()
    found = 0
    for row in csv.DictReader(io.StringIO(content)):
        made = datetime.fromisoformat(row["user_creation_time"])
        for slot in ("1", "2"):
            rotated = row[f"access_key_{slot}_last_rotated"]
            if row[f"access_key_{slot}_active"] != "true" or rotated == "N/A":
                continue
            if 0 <= (datetime.fromisoformat(rotated) - made).total_seconds() < 7:
                found += 1
                print(row["user"], slot, rotated)
    print(found)


if __name__ == "__main__":
    main()
