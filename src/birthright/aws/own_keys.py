"""The keys that birthright itself runs with: it must not saw off the branch it sits on."""

import os
from collections.abc import Iterator


def own_keys(profile: str | None) -> Iterator[str]:
    """Name the long-lived keys that this environment would run with, as far as files and variables show.

    A role has none, but the profile it is assumed from may. What cannot be read is left out; what is
    in use right now, `apply` knows for certain.
    """
    import botocore.exceptions
    from botocore.session import Session

    if key := os.environ.get("AWS_ACCESS_KEY_ID"):
        yield key
    try:
        session = Session()
        profiles = session.full_config.get("profiles", {})
        chosen = {profile, session.get_config_variable("profile"), "default"}
    except (botocore.exceptions.BotoCoreError, OSError, UnicodeDecodeError):
        return
    seen: set[str] = set()
    left = [name for name in chosen if name]
    while left:
        name = left.pop()
        if name not in seen and isinstance(values := profiles.get(name), dict):
            seen.add(name)
            left.extend(filter(None, [values.get("source_profile")]))
            if key := values.get("aws_access_key_id"):
                yield key
