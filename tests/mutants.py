"""`make mutants`: takes the engine of retirements apart, one piece at a time, and shows which test notices.

`python tests/mutants.py quarantine` tries only those whose description has that word.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

from retirement_mutants import MUTANTS, copy_package, failing, noticed


def main() -> int:
    """Try all, or those that were asked for; 1 if one is not noticed."""
    words = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.what for word in words)]
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        package = copy_package(Path(folder))
        if already := failing(package):
            print(f"the tests fail without any change: {already}")
            return 1
        for mutant in chosen:
            by = noticed(mutant, package)
            survived += not by
            print(f"{'caught' if by else 'SURVIVED'}: {mutant.what}\n    {by}", flush=True)
    print(f"{len(chosen)} mutants, {survived} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
