"""Where the secret of a new key goes: one file for each kind of destination."""
