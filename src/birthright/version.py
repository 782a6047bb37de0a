"""The version, where every wing may import it."""

__version__ = "0.1.0"
