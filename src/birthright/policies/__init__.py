"""Policy pages: reading them, running their rules over facts, and running their own tests."""
