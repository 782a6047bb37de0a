"""The HTML report: one file, read from disk, without network."""
