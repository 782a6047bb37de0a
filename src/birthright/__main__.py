"""`python -m birthright`."""

from birthright.cli.main import main

main()
