"""Plans: which keys, what is done to each, what is refused and why."""
