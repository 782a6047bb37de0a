"""Retiring keys: plans, the guarded steps that change AWS, and the journal of every one of them."""
