"""Answers that get lost: what is certain, what is not, and that trying again stores one version only."""

import http.client
import threading
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from birthright.errors import HandoverError
from birthright.retirement.handover.interface import Destination, NewSecret, Owner
from birthright.retirement.handover.registry import destination

ACCOUNT = "123456789012"
WRITES = {"CreateSecret", "PutSecretValue", "PutParameter"}
SPECS = ["secrets-manager:{user_name}", "existing-secret:there", "ssm:{user_name}"]
ATTEMPTS = 5


class _Proxy(ThreadingHTTPServer):
    """Stands between botocore and moto; `plan` says what happens to each write, then all is well.

    before: the connection is dropped before the call is passed on. after: when it was carried out.
    A number: that status, with the code that follows it, and nothing is passed on.
    """

    daemon_threads = True

    def __init__(self, upstream: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.plan: list[str] = []
        self.written: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        fate = self.server.plan.pop(0) if operation in WRITES and self.server.plan else ""
        status, _, code = fate.partition(" ")
        if fate == "before":
            return self._drop()
        if code:
            return self._answer(int(status), f'{{"__type": "{code}", "message": "said: {SECRET}"}}'.encode())
        given, content = self._pass_on(body)
        if operation in WRITES:
            self.server.written.append(operation)
        return self._drop() if fate == "after" else self._answer(given, content)

    def _pass_on(self, body: bytes) -> tuple[int, bytes]:
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=5)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        upstream.request("POST", self.path, body, headers)
        with upstream.getresponse() as answer:
            content = answer.read()
        upstream.close()
        return answer.status, content

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drop(self) -> None:
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[str, int]]:
    """Serve moto."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def proxy(upstream: tuple[str, int]) -> Iterator[_Proxy]:
    """Serve moto's empty account through something that loses answers."""
    host, port = upstream
    reset = http.client.HTTPConnection(host, port)
    reset.request("POST", "/moto-api/reset")
    reset.getresponse().read()
    reset.close()
    server = _Proxy(upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def far(proxy: _Proxy, client_of: Callable[[str, str], Any]) -> Iterator[Owner]:
    """Alice, behind that."""
    made: dict[str, Any] = {}
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    yield Owner(
        account_id=ACCOUNT,
        partition="aws",
        user_name="alice",
        user_arn=f"arn:aws:iam::{ACCOUNT}:user/alice",
        client=lambda service: made.get(service) or made.setdefault(service, client_of(service, url)),
    )
    for client in made.values():
        client.close()


def _place(spec: str, owner: Owner) -> Destination:
    if spec.startswith("existing"):
        owner.client("secretsmanager").create_secret(Name="there", SecretString="old")
    return destination(spec, owner)


def _versions(owner: Owner) -> list[str]:
    """All versions that were ever stored of alice's new secret."""
    secrets = owner.client("secretsmanager")
    kept = [secret["Name"] for secret in secrets.list_secrets()["SecretList"]]
    found = [token for name in kept for token in secrets.describe_secret(SecretId=name)["VersionIdsToStages"]]
    for parameter in owner.client("ssm").describe_parameters()["Parameters"]:
        history = owner.client("ssm").get_parameter_history(Name=parameter["Name"])["Parameters"]
        found += [f"{version['Version']}" for version in history]
    return found


@pytest.mark.parametrize("fate", ["before", "after", "500 InternalServiceError", "400 ThrottlingException"])
@pytest.mark.parametrize("spec", SPECS)
def test_one_lost_answer_is_made_good(
    spec: str, fate: str, far: Owner, proxy: _Proxy, parcel: NewSecret
) -> None:
    """The call is repeated with the same token: delivered, and stored once."""
    place = _place(spec, far)
    before = _versions(far)
    proxy.plan = [fate]
    proxy.written.clear()
    place.deliver(parcel)
    assert not proxy.plan
    assert place.holds(parcel.access_key_id, parcel.token) is True
    assert len(_versions(far)) == len(before) + 1


@pytest.mark.parametrize("fate", ["before", "after", "503 ServiceUnavailable"])
@pytest.mark.parametrize("spec", SPECS)
def test_answers_that_stay_lost_are_uncertain(
    spec: str, fate: str, far: Owner, proxy: _Proxy, parcel: NewSecret
) -> None:
    """Nobody says that nothing was stored; `holds` finds out, and a later repeat adds nothing."""
    place = _place(spec, far)
    before = _versions(far)
    proxy.plan = [fate] * ATTEMPTS
    proxy.written.clear()
    with pytest.raises(HandoverError) as caught:
        place.deliver(parcel)
    assert not caught.value.certain
    assert SECRET not in str(caught.value)
    assert not proxy.plan
    assert place.holds(parcel.access_key_id, parcel.token) is (fate == "after")
    place.deliver(parcel)
    # Parameter Store knows no token: there, the same value again is one more version.
    more = fate == "after" and spec.startswith("ssm")
    assert len(_versions(far)) == len(before) + 1 + more


@pytest.mark.parametrize(
    "code", ["400 AccessDeniedException", "400 LimitExceededException", "400 ValidationException"]
)
@pytest.mark.parametrize("spec", SPECS)
def test_a_refusal_is_certain(spec: str, code: str, far: Owner, proxy: _Proxy, parcel: NewSecret) -> None:
    """AWS said no: nothing was stored. What AWS repeats of the request is not repeated again."""
    place = _place(spec, far)
    before = _versions(far)
    proxy.plan = [code]
    with pytest.raises(HandoverError) as caught:
        place.deliver(parcel)
    assert caught.value.certain
    assert caught.value.code == code.partition(" ")[2]
    assert SECRET not in str(caught.value)
    assert _versions(far) == before
    assert place.holds(parcel.access_key_id, parcel.token) is False


@pytest.mark.parametrize("spec", SPECS)
def test_a_refusal_after_a_lost_answer_is_uncertain(
    spec: str, far: Owner, proxy: _Proxy, parcel: NewSecret
) -> None:
    """The attempt before may have been carried out, whatever the next one is told."""
    place = _place(spec, far)
    proxy.plan = ["after", "400 AccessDeniedException"]
    with pytest.raises(HandoverError) as caught:
        place.deliver(parcel)
    assert not caught.value.certain
    assert place.holds(parcel.access_key_id, parcel.token) is True


@pytest.mark.parametrize("spec", SPECS)
def test_throttling_to_the_end_is_certain(spec: str, far: Owner, proxy: _Proxy, parcel: NewSecret) -> None:
    """A call that AWS never let in stored nothing."""
    place = _place(spec, far)
    proxy.plan = ["400 ThrottlingException"] * ATTEMPTS
    with pytest.raises(HandoverError, match="slow down") as caught:
        place.deliver(parcel)
    assert caught.value.certain
    assert not proxy.plan


@pytest.mark.parametrize("spec", SPECS)
def test_nobody_there_is_certain_before_and_uncertain_after(
    spec: str, parcel: NewSecret, client_of: Callable[[str, str], Any]
) -> None:
    """Where no connection comes about nothing was sent; whether something arrived before stays open."""
    nowhere = Owner(
        account_id=ACCOUNT,
        partition="aws",
        user_name="alice",
        user_arn="",
        client=cache(lambda service: client_of(service, "http://127.0.0.1:9")),
    )
    place = destination(spec, nowhere)
    with pytest.raises(HandoverError, match="cannot be reached") as caught:
        place.deliver(parcel)
    assert caught.value.certain
    with pytest.raises(HandoverError, match="cannot be reached") as caught:
        place.holds(parcel.access_key_id, parcel.token)
    assert not caught.value.certain


def test_tags_that_cannot_be_set_do_not_undo_a_delivery(
    far: Owner, parcel: NewSecret, later: NewSecret, monkeypatch: pytest.MonkeyPatch, proxy: _Proxy
) -> None:
    """The secret is stored by then; that its tags are old is told."""
    for spec, operation in (("secrets-manager", "TagResource"), ("ssm:x", "AddTagsToResource")):
        place = destination(spec, far)
        place.deliver(parcel)
        monkeypatch.setattr("test_handover_lost_answers.WRITES", {operation})
        proxy.plan = ["400 AccessDeniedException"]
        delivered = place.deliver(later)
        assert "tags still name the key before" in delivered.where
        assert place.holds(later.access_key_id, later.token) is True
