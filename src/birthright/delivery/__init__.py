"""Findings sent elsewhere than to files: to Security Hub, and as notifications of new ones."""
