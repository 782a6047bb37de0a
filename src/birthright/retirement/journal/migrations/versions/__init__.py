"""The versions, one file each, the oldest first."""
