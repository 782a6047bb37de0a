"""What is taken out of the engine of retirements is noticed by the tests that every change has to pass."""

from pathlib import Path

import pytest

from retirement_mutants import MUTANTS, Gone, Mutant, apply, copy_package, noticed


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package."""
    return copy_package(tmp_path_factory.mktemp("mutated"))


def test_each_can_still_be_made(package: Path) -> None:
    """The text that a mutant changes stands in the engine once, and compiles when it is changed."""
    assert len({mutant.what for mutant in MUTANTS}) == len(MUTANTS) >= 20
    for mutant in MUTANTS:
        originals = apply(mutant, package)
        for path, text in originals.items():
            changed = path.read_text()
            assert changed != text, mutant.what
            compile(changed, path, "exec")
            path.write_text(text)


def test_a_text_that_is_gone_fails(package: Path) -> None:
    """No mutant rots: one whose text is not there, or there twice, is an error."""
    for text in ("there never was such a line", "import"):
        with pytest.raises(Gone, match="not once"):
            apply(Mutant("", text, ""), package)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_it_is_noticed(mutant: Mutant, package: Path) -> None:
    """Some test that is not slow fails."""
    assert noticed(mutant, package), "SURVIVED"
