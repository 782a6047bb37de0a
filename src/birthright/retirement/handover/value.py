"""What is stored: one JSON object that says whose key it is.

    {"access_key_id": "AKIA...", "secret_access_key": "...", "user_name": "alice", "account_id": "1111..."}

The same key gives the same text, byte for byte: a repeated call then counts as the same for AWS.
"""

import json

from birthright.retirement.handover.interface import NewSecret, Owner
from birthright.secret import Secret


def stored_value(owner: Owner, parcel: NewSecret) -> Secret:
    """Write the JSON object kept by Secrets Manager, Parameter Store and age files."""
    return Secret(
        json.dumps(
            {
                "access_key_id": parcel.access_key_id,
                "secret_access_key": parcel.secret.reveal(),
                "user_name": owner.user_name,
                "account_id": owner.account_id,
            }
        )
    )


def told_value(owner: Owner, parcel: NewSecret) -> Secret:
    """Write the JSON object that a command gets on its standard input."""
    return Secret(
        json.dumps(
            {
                "account_id": owner.account_id,
                "user_name": owner.user_name,
                "user_arn": owner.user_arn,
                "access_key_id": parcel.access_key_id,
                "secret_access_key": parcel.secret.reveal(),
                "token": parcel.token,
                "ticket": parcel.ticket,
            }
        )
    )
