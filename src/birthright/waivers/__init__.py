"""Findings that were accepted: the file, its entries, what they cover."""
