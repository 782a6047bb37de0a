"""`python -m birthright.sandbox`."""

import sys

from birthright.errors import BirthrightError
from birthright.sandbox.command import command

try:
    command(prog_name="python -m birthright.sandbox")
except BirthrightError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_code)
