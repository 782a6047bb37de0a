"""Who may come in: Signature Version 4, tokens and keys."""

import http.client
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.sandbox import Sandbox, SandboxCredentials
from birthright.sandbox.sigv4 import Verifier, parse, signing_key
from birthright.sandbox.wire import AwsError, WireRequest

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]

# AWS's published example ("Signature Version 4 signing process", IAM ListUsers).
EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EXAMPLE_SIGNATURE = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
EXAMPLE_TIME = 1_440_938_160  # 20150830T123600Z
WHO = "Action=GetCallerIdentity&Version=2011-06-15"


def example() -> WireRequest:
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": "iam.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
        "authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
            f"SignedHeaders=content-type;host;x-amz-date, Signature={EXAMPLE_SIGNATURE}"
        ),
    }
    return WireRequest("GET", "/", "Action=ListUsers&Version=2010-05-08", headers, b"")


def verify(request: WireRequest, at: float = EXAMPLE_TIME) -> None:
    claim = parse(request.headers["authorization"])
    Verifier(lambda: at).check(request, claim, EXAMPLE_SECRET)


def refusal(request: WireRequest, at: float = EXAMPLE_TIME) -> tuple[int, str]:
    with pytest.raises(AwsError) as caught:
        verify(request, at)
    return caught.value.status, caught.value.code


def test_the_published_example_is_accepted() -> None:
    """AWS's own worked example has the signature AWS printed, and the same derived key."""
    verify(example())
    key = signing_key(EXAMPLE_SECRET, "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


@pytest.mark.parametrize(
    ("change", "value"),
    [("method", "POST"), ("path", "/x"), ("query", "Action=ListUsers"), ("body", b"Action=X")],
)
def test_whatever_is_altered_breaks_the_signature(change: str, value: object) -> None:
    """Method, path, query and body are all under the signature."""
    request = example()
    setattr(request, change, value)
    assert refusal(request) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(("seconds", "good"), [(899, True), (901, False), (-899, True), (-901, False)])
def test_a_signature_lives_fifteen_minutes(seconds: int, good: bool) -> None:  # noqa: FBT001
    """A signature more than 15 minutes off real time, either way, is refused."""
    if good:
        verify(example(), EXAMPLE_TIME + seconds)
    else:
        assert refusal(example(), EXAMPLE_TIME + seconds) == (403, "SignatureDoesNotMatch")


def test_every_amz_header_must_be_signed() -> None:
    """An x-amz-* header outside SignedHeaders is refused, as AWS's rules say."""
    request = example()
    request.headers["x-amz-security-token"] = "smuggled"
    assert refusal(request) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "MissingAuthenticationToken"),
        ("Basic dXNlcg==", "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00", "IncompleteSignature"),
        ("AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host, Signature=0", "IncompleteSignature"),
    ],
)
def test_an_authorization_that_is_none(header: str | None, code: str) -> None:
    """Missing and malformed Authorization headers have codes of their own."""
    with pytest.raises(AwsError) as caught:
        parse(header)
    assert caught.value.code == code


@settings(max_examples=60, deadline=None)
@given(
    body=st.text(max_size=80),
    query=st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4),
    region=st.sampled_from(["us-east-1", "cn-north-1", "us-gov-west-1"]),
)
def test_botocore_and_the_verifier_agree(body: str, query: dict[str, str], region: str) -> None:
    """Whatever botocore signs, the verifier, written from the specification, accepts."""
    sent = AWSRequest("POST", "http://127.0.0.1:1/", data=body.encode(), params=query)
    SigV4Auth(BotoCredentials("AKID", EXAMPLE_SECRET), "iam", region).add_auth(sent)
    prepared = sent.prepare()
    headers = {name.lower(): value for name, value in prepared.headers.items()}
    headers = {n: v.decode() if isinstance(v, bytes) else v for n, v in headers.items()}
    headers["host"] = "127.0.0.1:1"
    request = WireRequest("POST", "/", prepared.url.partition("?")[2], headers, body.encode())
    Verifier().check(request, parse(headers["authorization"]), EXAMPLE_SECRET)


def post(box: Sandbox, body: str, sent: str | None = None, service: str = "sts") -> tuple[int, str]:
    """Sign `body` with the scanner's key, send `sent` instead if given."""
    key = BotoCredentials(box.credentials.access_key_id, box.credentials.secret_access_key)
    request = AWSRequest("POST", box.url + "/", data=body)
    SigV4Auth(key, service, "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(box.url.removeprefix("http://"))
    connection.request("POST", "/", sent or body, dict(request.headers.items()))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_a_body_altered_on_the_way_is_refused(box: Sandbox) -> None:
    """The body a client signed is the body that counts."""
    assert post(box, WHO)[0] == 200
    status, text = post(box, WHO, WHO + "&More=1")
    assert (status, "<Code>SignatureDoesNotMatch</Code>" in text) == (403, True)


def test_the_scope_decides_the_service(box: Sandbox) -> None:
    """An STS action signed for IAM is unknown there; a service that is not served is refused."""
    assert "<Code>InvalidAction</Code>" in post(box, WHO, service="iam")[1]
    assert "<Code>SignatureDoesNotMatch</Code>" in post(box, WHO, service="s3")[1]


def test_a_wrong_secret_is_refused(box: Sandbox, client: Make, refused: Refused) -> None:
    """A known key id with another secret is SignatureDoesNotMatch, 403."""
    wrong = SandboxCredentials(box.credentials.access_key_id, "not the secret")
    identify = client(box, "sts", wrong).get_caller_identity
    assert refused(identify) == ("SignatureDoesNotMatch", 403)
    assert box.calls.total() == 0


def test_unknown_and_tokened_keys_are_refused(box: Sandbox, client: Make, refused: Refused) -> None:
    """An unknown key id, and a long-lived key with a session token, are InvalidClientTokenId."""
    known = box.credentials
    tokened = SandboxCredentials(known.access_key_id, known.secret_access_key, "a token")
    for credentials in (SandboxCredentials("AKIAUNKNOWN000000000", "x"), tokened):
        identify = client(box, "sts", credentials).get_caller_identity
        assert refused(identify) == ("InvalidClientTokenId", 403)


def test_inactive_and_deleted_keys_do_not_authenticate(box: Sandbox, client: Make, refused: Refused) -> None:
    """Unlike in moto, a key that is off or gone signs nothing; switched on again it does."""
    other = box.new_credentials("other", "*")
    admin, identify = client(box), client(box, "sts", other).get_caller_identity
    one = {"UserName": "other", "AccessKeyId": other.access_key_id}
    assert identify()["Arn"].endswith(":user/other")
    admin.update_access_key(**one, Status="Inactive")
    assert refused(identify) == ("InvalidClientTokenId", 403)
    admin.update_access_key(**one, Status="Active")
    assert identify()["Account"] == box.account_id
    admin.delete_access_key(**one)
    assert refused(identify) == ("InvalidClientTokenId", 403)


def test_a_new_key_may_not_work_yet(client: Make, refused: Refused) -> None:
    """IAM is eventually consistent: within consistency_seconds a new key is unknown."""
    with Sandbox.create(users=1, consistency_seconds=30).running() as box:
        iam = client(box)
        made = iam.create_access_key(UserName="ci-deploy-born-with-key")["AccessKey"]
        new = SandboxCredentials(made["AccessKeyId"], made["SecretAccessKey"])
        identify = client(box, "sts", new).get_caller_identity
        assert refused(identify) == ("InvalidClientTokenId", 403)
        box.clock.advance(timedelta(seconds=30))
        assert identify()["Account"] == box.account_id


def test_signing_with_a_key_uses_it(box: Sandbox, client: Make) -> None:
    """The key that signs a call was last used now, for that service, in that Region."""
    other = box.new_credentials("other")
    last_used = client(box).get_access_key_last_used
    assert last_used(AccessKeyId=other.access_key_id)["AccessKeyLastUsed"] == {
        "ServiceName": "N/A",
        "Region": "N/A",
    }
    client(box, "sts", other).get_caller_identity()
    used = last_used(AccessKeyId=other.access_key_id)["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("sts", "us-east-1")
    assert abs(used["LastUsedDate"].timestamp() - time.time()) < 5
