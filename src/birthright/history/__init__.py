"""Earlier scans, and how findings stand against them."""
