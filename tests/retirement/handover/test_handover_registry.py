"""Specs: which are refused, and when; which one is a user's; what each needs."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birthright.errors import HandoverError, UsageError
from birthright.retirement.handover.interface import Owner
from birthright.retirement.handover.registry import DEFAULT_SPEC, KINDS, destination, parse_spec, spec_for
from birthright.retirement.handover.template import for_key, for_owner, path_for_owner
from birthright.settings import RetirementSettings

AGE = "age1lc4x8sqzugav6kt5kncdwwl4pcl82yec7pct8660a2st5nlm5ucsaeqgts"
GOOD = [
    "secrets-manager",
    "secrets-manager:",
    "secrets-manager:birthright/{user_name}",
    "secrets-manager:keys/{partition}/{account_id}/{user_name}/{access_key_id}",
    "existing-secret:prod/app",
    "existing-secret:arn:{partition}:secretsmanager:eu-west-1:{account_id}:secret:app/{user_name}-AbCdEf",
    "ssm:/keys/{user_name}",
    "ssm:flat.name-{access_key_id}",
    f"age:{AGE}:keys/{{access_key_id}}.age",
    f"age:{AGE},{AGE}:~/{{user_name}}/{{access_key_id}}",
    "profile:{user_name}",
    "profile:{account_id}/{user_name}:~/x/credentials",
    "command:store --user={user_name} 'two words'",
]
BAD = [
    ("", "no kind"),
    ("vault:x", "no kind"),
    ("Secrets-Manager:x", "no kind"),
    ("ssm:/a\nb", "one line"),
    ("ssm:/a\x00b", "one line"),
    ("secrets-manager:{user_name.__class__}", "no placeholder"),
    ("secrets-manager:{user_name!r}", "no placeholder"),
    ("secrets-manager:{user_name:>99999999}", "no placeholder"),
    ("secrets-manager:{0}", "no placeholder"),
    ("secrets-manager:{}", "no placeholder"),
    ("secrets-manager:{{user_name}}", "no placeholder"),
    ("secrets-manager:a}", "no placeholder"),
    ("secrets-manager:a b", "name of a secret"),
    ("secrets-manager:ümlaut", "name of a secret"),
    ("secrets-manager:" + "x" * 513, "name of a secret"),
    ("existing-secret:", "neither the name nor the ARN"),
    ("existing-secret:arn:aws:iam::123456789012:user/x", "neither the name nor the ARN"),
    ("existing-secret:x-{access_key_id}", "does not exist yet"),
    ("ssm:", "missing"),
    ("ssm:a/b", "begins with one"),
    ("ssm:/aws/x", "AWS's own"),
    ("ssm:SSM-x", "AWS's own"),
    ("ssm:/a*", "name of a parameter"),
    ("ssm:" + "/a" * 16, "name of a parameter"),
    (f"age:{AGE}", "recipients and a path"),
    (f"age:{AGE}:", "recipients and a path"),
    (f"age:,{AGE}:x{{access_key_id}}", "recipients and a path"),
    ("age:age1nonsense:x{access_key_id}", "recipient 1"),
    (f"age:{AGE},ssh-rsa AAAA:x{{access_key_id}}", "recipient 2"),
    (f"age:{AGE}:{{user_name}}.age", "must hold"),
    (f"age:{AGE}:{{access_key_id}}/", "must name a file"),
    ("profile:", "cannot be a profile"),
    ("profile:DEFAULT", "cannot be a profile"),
    ("profile:a]b", "cannot be a profile"),
    ("profile:a b", "cannot be a profile"),
    ("profile:a:", "must name a file"),
    ("command:", "program is missing"),
    ("command:''", "program is missing"),
    ("command:'unclosed", "quot"),
    ("command:{user_name} x", "cannot choose the program"),
    ("command:x {secret}", "no placeholder"),
]
USER_NAMES = st.text("abzAZ09_+=,.@-", min_size=1, max_size=64)


@pytest.mark.parametrize("spec", GOOD)
def test_good_specs(spec: str, owner: Owner) -> None:
    """They are taken, with and without an owner, and need only actions on named resources."""
    kind, rest = parse_spec(spec)
    assert destination(spec, owner).where
    for action, pattern in kind.actions(rest):
        service, _, name = action.partition(":")
        assert name
        assert pattern == "*" or pattern.startswith("arn:{partition}:" + service)


def test_every_kind_is_tried() -> None:
    """The list of good specs has one of each kind."""
    assert {spec.partition(":")[0] for spec in GOOD} == set(KINDS)


@pytest.mark.parametrize(("spec", "why"), BAD)
def test_bad_specs(spec: str, why: str, owner: Owner) -> None:
    """They are refused with the reason before anybody is asked, each in the same way."""
    for call in (parse_spec, lambda bad: destination(bad, owner)):
        with pytest.raises(UsageError, match=why):
            call(spec)


def test_the_default_of_the_settings_is_a_good_spec() -> None:
    """What birthright.toml means when it says nothing can be used as it is."""
    spec = spec_for("anybody", RetirementSettings().handover)
    parse_spec(spec)
    assert spec == DEFAULT_SPEC


def test_a_private_key_in_a_spec_is_not_repeated() -> None:
    """Whoever puts an age private key where the public one belongs does not find it in the message."""
    private = str(pyrage.x25519.Identity.generate())
    for spec in (f"age:{private}:x{{access_key_id}}", private):
        with pytest.raises(UsageError) as caught:
            parse_spec(spec)
        assert private[20:] not in str(caught.value)


def test_the_first_pattern_that_matches_is_the_one() -> None:
    """A table is read in the order of the file, and a user that no pattern matches is refused."""
    table = {"ci-*": "profile:ci", "ci-7": "ssm:/never", "*@example.com": "ssm:/mail"}
    assert spec_for("ci-7", table) == "profile:ci"
    assert spec_for("a@example.com", table) == "ssm:/mail"
    assert spec_for("whoever", "ssm:/one") == "ssm:/one"
    with pytest.raises(UsageError, match="says nothing about user CI-7"):
        spec_for("CI-7", table)


@pytest.mark.parametrize(
    ("spec", "user_name"),
    [
        ("secrets-manager", "a,b"),
        ("existing-secret:x/{user_name}", "a,b"),
        ("ssm:/keys/{user_name}", "a@example.com"),
        ("ssm:{user_name}", "awsome"),
        ("command:x {user_name}", "--force"),
        ("profile:{user_name}", "DEFAULT"),
    ],
)
def test_a_name_that_a_destination_cannot_hold(spec: str, user_name: str, owner: Owner) -> None:
    """It is refused, and never changed into a name that could be somebody else's."""
    parse_spec(spec)
    with pytest.raises(UsageError) as caught:
        destination(spec, msgspec.structs.replace(owner, user_name=user_name))
    assert caught.value.hint or "AWS's own" in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"user_name": "../../etc"},
        {"user_name": "a/b"},
        {"user_name": ""},
        {"user_name": "a\nb"},
        {"user_name": "{access_key_id}"},
        {"user_name": "x" * 129},
        {"user_name": "äöü"},
        {"account_id": "../123456789"},
        {"account_id": "١٢٣٤٥٦٧٨٩٠١٢"},
        {"partition": "aws/.."},
    ],
)
@pytest.mark.parametrize(
    "spec", ["secrets-manager", f"age:{AGE}:k/{{user_name}}/{{access_key_id}}", "command:x"]
)
def test_values_that_aws_never_gives(change: dict[str, str], spec: str, owner: Owner) -> None:
    """A plan somebody edited cannot lead anywhere else."""
    with pytest.raises(UsageError, match="is none that AWS gives"):
        destination(spec, msgspec.structs.replace(owner, **change))


@pytest.mark.parametrize(
    ("template", "user_name"), [("{user_name}/x", ".."), ("a/{user_name}/x", "."), ("a/{user_name}./x", ".")]
)
def test_a_user_called_dots_changes_no_folder(template: str, user_name: str, owner: Owner) -> None:
    """IAM allows such names; as a folder they are refused."""
    odd = msgspec.structs.replace(owner, user_name=user_name)
    with pytest.raises(UsageError, match="change the folder"):
        path_for_owner(template, odd)
    for spec in (f"age:{AGE}:{template}{{access_key_id}}/y", f"profile:p:{template}"):
        with pytest.raises(UsageError, match="change the folder"):
            destination(spec, odd)


@given(first=USER_NAMES, second=USER_NAMES)
def test_users_do_not_meet(first: str, second: str) -> None:
    """Two users' names and paths are different, and stay under the folder that was written."""

    def path(user_name: str) -> str:
        owner = Owner(account_id="1" * 12, partition="aws", user_name=user_name, user_arn="", client=print)
        return path_for_owner("/keys/u-{user_name}/k", owner)

    assert (path(first) == path(second)) == (first == second)
    assert Path(path(first)).resolve().parent.parent == Path("/keys")


def test_a_key_id_that_is_none_is_refused(owner: Owner) -> None:
    """AWS's answer is not believed blindly either; the owner's values stand as they are."""
    assert (
        for_key(for_owner("{user_name}-{access_key_id}", owner), "AKIA" + "X" * 16) == "alice-AKIA" + "X" * 16
    )
    for bad in ("../x", "", "A" * 15, "AKIA/../aaaaaaaaaaaaaa"):
        with pytest.raises(HandoverError, match="is no access key id") as caught:
            for_key("{access_key_id}", bad)
        assert caught.value.certain


def test_checking_a_spec_loads_nothing_heavy() -> None:
    """Settings are read by commands that never rotate: neither botocore nor pyrage is imported."""
    code = (
        "import sys; from birthright.retirement.handover.registry import parse_spec;"
        "parse_spec('secrets-manager'); print({'botocore', 'pyrage', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
