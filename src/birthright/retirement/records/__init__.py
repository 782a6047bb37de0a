"""Change records: what the journal knows, written for people, auditors and programs."""
