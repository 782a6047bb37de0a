"""What AWS said: the answers, the slot join, the tables and the snapshot on disk."""
