"""One user, read live: judged as a scan judges it, by what its own reads can answer and nothing else."""

import asyncio
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from birthright.aws.session import AwsSession
from birthright.errors import AccessDeniedError, NoSuchUserError
from birthright.findings.model import Finding
from birthright.operations.judge_user import judge_user
from birthright.reports.interface import Report
from birthright.sandbox import Sandbox
from birthright.scans.request import Judging
from birthright.sources.iam import READS, USER_READS

BORN = "access-key-created-with-user"
# Of one user's keys there are six policies; the others need the report, root, or the whole account.
OF_KEYS = {
    BORN,
    "access-key-inactive",
    "access-key-never-used",
    "access-key-not-rotated",
    "access-key-second-active",
    "access-key-unused",
}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """Serve an account with every case there is."""
    with Sandbox.create(users=40).running() as box:
        yield box


def judged(environment: dict[str, str], user: str, judging: Judging | None = None) -> Report:
    """Judge a user with the credentials of an environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return asyncio.run(judge_user(AwsSession(), user, judging or Judging()))


def environment(box: Sandbox, *actions: str) -> dict[str, str]:
    """Give an environment whose key may do these actions only."""
    key = box.new_credentials(f"may-{len(actions)}-{'-'.join(actions)[-20:].replace(':', '-')}", *actions)
    return box.environment() | {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
    }


def least() -> tuple[str, ...]:
    return tuple(action for action, _ in USER_READS.values())


def of(report: Report, policy: str = BORN) -> dict[str | None, Finding]:
    """Give one policy's findings by key."""
    return {found.access_key_id: found for found in report.document.findings if found.policy == policy}


def test_every_user_is_judged_as_the_truth_table_says(box: Sandbox) -> None:
    """Each key there is now has the verdict that a whole scan gives it, with no key of anyone else."""
    allowed = environment(box, *least())
    wanted = {one.access_key_id: one.verdict for one in box.expected}
    seen = set()
    for user in box.account().users.values():
        found = of(judged(allowed, user.name))
        assert found.keys() == user.keys.keys()
        for key, finding in found.items():
            assert wanted.get(str(key), finding.verdict) == finding.verdict, user.name
            assert finding.user_name == user.name
            seen.add(finding.verdict)
    assert seen == {"fail", "pass", "unknown"}


def test_pages_that_cannot_be_answered_are_out_of_scope(box: Sandbox) -> None:
    """Those of the report, of root and of the account say nothing: no unknown, no root, no other reads."""
    box.calls.clear()
    report = judged(environment(box, *least()), "ci-deploy-born-with-key")
    document = report.document
    assert {line.id for line in document.policies} == OF_KEYS == report.pages.keys()
    assert document.summary.principals == 1
    assert {found.user_name for found in document.findings} == {"ci-deploy-born-with-key"}
    assert "unknown" not in {found.verdict for found in document.findings}
    assert document.complete
    assert {line.source for line in document.coverage} == USER_READS.keys()


def test_evidence_names_the_reads_that_were_made(box: Sandbox) -> None:
    """No fact is said to come from a credential report: none was read."""
    report = judged(environment(box, *least()), "ci-deploy-born-with-key")
    for finding in report.document.findings:
        facts = {item.fact: item for item in finding.evidence}
        assert {item.source for item in facts.values()} == USER_READS.keys()
        assert facts["user_created_at"].source == "GetUser"
        assert facts["user_created_at"].as_of == report.document.scan.as_of


def test_a_user_that_is_not_there_is_an_error_of_its_own(box: Sandbox) -> None:
    """Whoever handles an event can tell a deleted user from a refusal."""
    with pytest.raises(NoSuchUserError, match="no IAM user 'nobody-by-this-name'"):
        judged(environment(box, *least()), "nobody-by-this-name")


def test_a_refusal_is_not_a_missing_user(box: Sandbox) -> None:
    """Without iam:GetUser nothing can be said."""
    with pytest.raises(AccessDeniedError):
        judged(environment(box, *least()[1:]), "ci-deploy-born-with-key")


def test_keys_that_cannot_be_listed_are_unknown(box: Sandbox) -> None:
    """A refusal of ListAccessKeys is no user without keys: every policy says unknown, with the reason."""
    report = judged(environment(box, "iam:GetUser"), "ci-deploy-born-with-key")
    assert {found.verdict for found in report.document.findings} == {"unknown"}
    assert all("ListAccessKeys denied" in found.reason for found in of(report).values())
    assert all(
        "keys could not be listed" in found.reason for found in of(report, "access-key-unused").values()
    )
    assert not report.document.complete


def test_uses_that_cannot_be_looked_up_are_unknown_where_they_matter(box: Sandbox) -> None:
    """The first policy needs no last use; whether a key was ever used is unknown then."""
    report = judged(environment(box, "iam:GetUser", "iam:ListAccessKeys"), "ci-deploy-born-with-key")
    assert {found.verdict for found in of(report).values()} == {"fail"}
    assert {found.verdict for found in of(report, "access-key-never-used").values()} == {"unknown"}


def test_the_chosen_policies_judge(box: Sandbox) -> None:
    """Parameters and policies are those of `Judging`."""
    judging = Judging(policies=(BORN, "root-access-key"), overrides={BORN: {"window": "0s"}})
    report = judged(environment(box, *least()), "ci-deploy-born-with-key", judging)
    assert [line.id for line in report.document.policies] == [BORN]
    assert {found.verdict for found in report.document.findings} == {"pass"}


def test_scans_need_no_more_than_before() -> None:
    """GetUser is asked by nothing that scans, so `permissions` does not print it."""
    assert "GetUser" not in READS
    assert {name for name, _ in USER_READS.items()} - READS.keys() == {"GetUser"}


def test_moto_agrees() -> None:
    """A judge nobody here wrote: a key made with its user fails, a user without keys has nothing."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    where = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
    }
    try:
        iam: Any = boto3.session.Session().client(
            "iam",
            region_name="us-east-1",
            endpoint_url=where["AWS_ENDPOINT_URL"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        iam.create_user(UserName="ann")
        key = iam.create_access_key(UserName="ann")["AccessKey"]["AccessKeyId"]
        iam.create_user(UserName="bob")
        assert {name: found.verdict for name, found in of(judged(where, "ann")).items()} == {key: "fail"}
        assert judged(where, "bob").document.findings == ()
        with pytest.raises(NoSuchUserError):
            judged(where, "carol")
    finally:
        server.stop()
