"""What the reports for people share: what comes first."""

# What people read first: the policy that birthright is about, then the others by risk.
FIRST = "access-key-created-with-user"
RISKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}
