"""What birthright does, without a command line: typed requests in, results out."""
