"""How long the commands that read nothing take."""

from collections.abc import Iterator

from measure import BIRTHRIGHT, Row, repeated


def rows() -> Iterator[Row]:
    """CPU of `--help` and `policy list`."""
    for arguments, limit in ((("--help",), 150), (("policy", "list"), 300)):
        cpu = repeated([BIRTHRIGHT, *arguments]).cpu * 1000
        yield Row(f"birthright {' '.join(arguments)}: CPU", f"{cpu:.0f} ms", f"{limit} ms", cpu / limit, 1.0)
