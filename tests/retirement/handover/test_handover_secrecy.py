"""Secrets stay where they belong: no message, log, traceback or file but the destination shows one."""

import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from birthright.errors import HandoverError
from birthright.retirement.handover.interface import NewSecret, Owner
from birthright.retirement.handover.registry import destination
from birthright.secret import Secret

Client = Callable[[str], Any]
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AGE = "age1lc4x8sqzugav6kt5kncdwwl4pcl82yec7pct8660a2st5nlm5ucsaeqgts"
SPECS = [
    "secrets-manager",
    "existing-secret:there",
    "ssm:/x/{user_name}",
    f"age:{AGE}:{{folder}}/{{access_key_id}}",
    "profile:{user_name}:{folder}/credentials",
    "command:cat",
]


@pytest.fixture
def loud() -> Iterator[list[str]]:
    """Log everything that anybody says, botocore in its parts included."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.name} {record.getMessage()}")

    handler, root = Keep(), logging.getLogger()
    levels = {
        name: logging.getLogger(name).level for name in ("", "botocore", "botocore.endpoint", "urllib3")
    }
    root.addHandler(handler)
    for name in levels:
        logging.getLogger(name or None).setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


@pytest.mark.parametrize("spec", SPECS)
def test_no_log_has_it(spec: str, owner: Owner, parcel: NewSecret, loud: list[str], tmp_path: Path) -> None:
    """Even with botocore's own logs at DEBUG, which otherwise repeat every request."""
    secrets = owner.client("secretsmanager")
    secrets.create_secret(Name="there", SecretString="seen-in-the-log")
    assert any("seen-in-the-log" in line for line in loud)
    place = destination(spec.replace("{folder}", str(tmp_path)), owner)
    place.check()
    place.deliver(parcel)
    place.holds(parcel.access_key_id, parcel.token)
    assert not any(_shows(line) for line in loud)
    loud.clear()
    secrets.put_secret_value(SecretId="there", SecretString="seen-again")
    assert any("seen-again" in line for line in loud)


@pytest.mark.parametrize("spec", SPECS)
def test_only_the_destination_has_it(spec: str, owner: Owner, parcel: NewSecret, tmp_path: Path) -> None:
    """No other file holds it, nor the environment, nor anything that can be printed."""
    owner.client("secretsmanager").create_secret(Name="there", SecretString="old")
    place = destination(spec.replace("{folder}", str(tmp_path)), owner)
    delivered = place.deliver(parcel)
    assert not _shows(repr([place, parcel, delivered, place.where, dict(os.environ)]))
    holding = [path.name for path in tmp_path.rglob("*") if path.is_file() and _shows(path.read_text())]
    assert holding == (["credentials"] if spec.startswith("profile") else [])


def _shows(text: str) -> bool:
    return any(SECRET[at : at + 8] in text for at in range(len(SECRET) - 7))


def _raising(owner: Owner, operation: str, error: Exception) -> Owner:
    """Let one operation fail, from inside of botocore."""

    def client(service: str) -> Any:  # noqa: ANN401 - botocore's clients have no type
        made = owner.client(service)

        def fail(**_: object) -> None:
            raise error

        made.meta.events.register(f"before-call.*.{operation}", fail)
        return made

    return msgspec.structs.replace(owner, client=client)


@pytest.mark.parametrize(
    ("spec", "operation"),
    [
        ("secrets-manager", "CreateSecret"),
        ("existing-secret:there", "PutSecretValue"),
        ("ssm:x", "PutParameter"),
    ],
)
def test_no_traceback_has_it(spec: str, operation: str, owner: Owner, parcel: NewSecret) -> None:
    """AWS's own text, which may repeat the request, is neither in the error nor in what it is chained to."""
    owner.client("secretsmanager").create_secret(Name="there", SecretString="old")
    told = {
        "Error": {"Code": "ValidationException", "Message": f"Value '{SECRET}' at 'value'"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    bad = _raising(owner, operation, ClientError(told, operation))
    with pytest.raises(HandoverError) as caught:
        destination(spec, bad).deliver(parcel)
    error = caught.value
    assert (error.certain, error.code) == (True, "ValidationException")
    assert error.__cause__ is error.__context__ is None
    # The test's own frame knows the secret, ours do not.
    ours = error.__traceback__.tb_next if error.__traceback__ else None
    assert ours
    shown = traceback.TracebackException(type(error), error, ours, capture_locals=True)
    assert not _shows("".join(shown.format()))
    assert not _shows(repr(error) + repr(vars(error)))


def test_a_value_that_botocore_refuses_is_not_told(owner: Owner, parcel: NewSecret) -> None:
    """The complaint about a parameter repeats it; ours does not. Nothing was sent."""
    bad = msgspec.structs.replace(parcel, token=SECRET[:10])
    with pytest.raises(HandoverError, match="ParamValidationError") as caught:
        destination("secrets-manager", owner).deliver(bad)
    assert caught.value.certain
    assert not _shows(str(caught.value))


def test_an_ill_formed_secret_cannot_break_a_credentials_file(
    owner: Owner, parcel: NewSecret, tmp_path: Path
) -> None:
    """A line break in it would start a profile of its own: refused, without a word of it."""
    path = tmp_path / "credentials"
    bad = msgspec.structs.replace(parcel, secret=Secret(f"{SECRET}\n[default]\nx = 1"))
    with pytest.raises(HandoverError) as caught:
        destination(f"profile:p:{path}", owner).deliver(bad)
    assert caught.value.certain
    assert not path.exists()
    ours = caught.value.__traceback__.tb_next if caught.value.__traceback__ else None
    assert ours
    shown = traceback.TracebackException(HandoverError, caught.value, ours, capture_locals=True)
    assert not _shows("".join(shown.format()))


def test_our_own_log_switches_on_no_other() -> None:
    """With the logger `birthright` at DEBUG, as -vv sets it, botocore and urllib3 stay silent."""
    code = (
        "import logging; import birthright.retirement.handover.registry, botocore.session, urllib3;"
        "import birthright.cli.scan as scan; scan._log(2);"
        "print([name for name in ('', 'botocore', 'botocore.endpoint', 'urllib3')"
        " if logging.getLogger(name or None).isEnabledFor(logging.DEBUG)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
