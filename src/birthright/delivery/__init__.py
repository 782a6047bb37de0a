"""Findings that leave by other ways than files: to Security Hub, and to people who are told of new ones."""
