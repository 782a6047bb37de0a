"""Signature Version 4, held against botocore's signer."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlencode

import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.aws.signing import CONTENT_TYPE, Credentials, CredentialScope, sign
from birthright.errors import CredentialsError
from birthright.secret import Secret

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/="
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
FORMS = st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=6).map(urlencode)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TOKENS = st.none() | st.text(LETTERS, min_size=1, max_size=400)


def theirs(
    body: bytes, host: str, scope: CredentialScope, known: Credentials, moment: datetime
) -> dict[str, str]:
    """Sign with botocore."""
    request = AWSRequest("POST", f"https://{host}/", data=body, headers={"Content-Type": CONTENT_TYPE})
    request.context["payload_signing_enabled"] = True
    token = known.token.reveal() if known.token else None
    credentials = TheirCredentials(known.access_key_id, known.secret.reveal(), token)
    with time_machine.travel(moment, tick=False):
        SigV4Auth(credentials, scope.service, scope.region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@settings(deadline=None)
@given(
    form=FORMS,
    scope=st.builds(CredentialScope, NAMES, NAMES),
    key=st.text(LETTERS[:62], min_size=1),
    secret=st.text(LETTERS, min_size=1),
    token=TOKENS,
    moment=MOMENTS,
)
def test_every_form_is_signed_as_botocore_signs_it(
    form: str, scope: CredentialScope, key: str, secret: str, token: str | None, moment: datetime
) -> None:
    """For any form, place, credentials and time, the headers are those of botocore's SigV4Auth."""
    known = Credentials(key, Secret(secret), Secret(token) if token else None)
    ours = sign(form.encode(), "iam.amazonaws.com", scope, known, moment)
    expected = theirs(form.encode(), "iam.amazonaws.com", scope, known, moment)
    assert {name: value for name, value in ours.items() if name != "host"} == expected


def test_raw_bytes_and_unusual_hosts_are_signed_alike() -> None:
    """Unicode that nobody quoted, and a host with a port, change nothing."""
    known, moment = Credentials("AKIA", Secret("s")), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for host in ("localhost:5000", "[::1]:5000", "iam.cn-north-1.amazonaws.com.cn"):
        ours = sign("Name=Zoë ☃".encode(), host, CredentialScope("cn-north-1", "iam"), known, moment)
        expected = theirs("Name=Zoë ☃".encode(), host, CredentialScope("cn-north-1", "iam"), known, moment)
        assert ours["authorization"] == expected["authorization"]


def test_a_moment_in_another_time_zone_is_the_same_moment() -> None:
    """The stamp is UTC, whatever the zone of the moment given."""
    known, scope = Credentials("AKIA", Secret("s")), CredentialScope("us-east-1", "iam")
    moment = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=-8)))
    assert sign(b"", "h", scope, known, moment) == sign(b"", "h", scope, known, elsewhere)


def test_two_secrets_of_one_day_sign_differently() -> None:
    """The kept signing key belongs to one secret."""
    moment, scope = datetime(2026, 1, 1, tzinfo=UTC), CredentialScope("us-east-1", "iam")
    first = sign(b"", "h", scope, Credentials("AKIA", Secret("one")), moment)
    second = sign(b"", "h", scope, Credentials("AKIA", Secret("two")), moment)
    assert first["authorization"] != second["authorization"]


@pytest.mark.parametrize("wrong", ["AKIA\r\nx-evil: 1", "AKIA…", "AKIA ", "AKIA\t", "\x00", "\udce9"])
def test_credentials_that_no_header_can_carry_are_refused(wrong: str) -> None:
    """A pasted line end or a typographic dot is one clear line, and shows nothing of what was pasted."""
    with pytest.raises(CredentialsError) as caught:
        Credentials(wrong, Secret("s"))
    assert wrong not in str(caught.value)
    with pytest.raises(CredentialsError):
        Credentials("AKIA", Secret(wrong))
    with pytest.raises(CredentialsError):
        Credentials("AKIA", Secret("s"), Secret(wrong))


def test_credentials_print_no_secret() -> None:
    """`repr` shows the access key id alone."""
    shown = repr(Credentials("AKIA", Secret("hidden"), Secret("hidden")))
    assert "AKIA" in shown
    assert "hidden" not in shown
