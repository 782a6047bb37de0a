"""Many accounts: which ones, and when and where each is read."""
