"""`birthright sandbox`: a small AWS to try things on."""

from birthright.sandbox.command import command

__all__ = ["command"]
