"""How plans and retirements are shown: one file a format."""
