"""A Secret shows itself to nobody but who asks for it by name."""

import copy
import json
import logging
import pickle

import msgspec
import pytest

from birthright.secret import Secret

VALUE = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def test_every_way_to_write_it_gives_stars(caplog: pytest.LogCaptureFixture) -> None:
    """str, repr, format, an f-string, a container and a log line show `***`."""
    secret = Secret(VALUE)
    logging.getLogger("test").warning("%s %r", secret, {"secret": secret})
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>50}",
        f"{secret!r}",
        repr([secret]),
        caplog.text,
    ]
    assert all("***" in text and VALUE not in text for text in shown)


def test_reveal_is_the_way_out() -> None:
    """Whoever needs the value asks for it."""
    assert Secret(VALUE).reveal() == VALUE


def test_it_does_not_travel() -> None:
    """Nothing serialises it."""
    secret = Secret(VALUE)
    for write in (pickle.dumps, copy.copy, json.dumps, msgspec.json.encode):
        with pytest.raises(TypeError):
            write(secret)


def test_it_has_no_dictionary() -> None:
    """vars() finds nothing."""
    with pytest.raises(TypeError):
        vars(Secret(VALUE))
