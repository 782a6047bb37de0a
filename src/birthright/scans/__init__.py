"""Scans on disk and in buckets: their record, their parts, where they are kept."""
