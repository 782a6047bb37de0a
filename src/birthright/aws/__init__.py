"""Everything that talks to AWS over the wire: sessions, signing, HTTP, roles, pacing, errors."""
