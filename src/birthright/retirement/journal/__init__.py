"""The append-only record of every retirement step."""
