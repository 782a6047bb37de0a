"""A string that must not be shown."""


class Secret:
    """Holds a secret; prints, formats, logs and pickles as `***`. `reveal()` is the one way out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself; only the signer and the hand-over call this."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> tuple[type["Secret"], tuple[str]]:
        """Refuse to travel: a secret that leaves the process would be written somewhere."""
        raise TypeError("a Secret is never serialised")
