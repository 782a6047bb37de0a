"""A small AWS on loopback to try things on: IAM and STS with real signatures, clocks and faults."""
