"""Carries retirements out, step by step, with the journal before and after each."""
