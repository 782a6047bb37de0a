"""The CloudFormation templates: valid, as wide as `birthright permissions` prints, trusting one principal."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from birthright.cli.main import run

FOLDER = Path(__file__).parents[2] / "deploy"
READ, RETIRE = "birthright-read-role", "birthright-retire-role"
TEMPLATES = [READ, RETIRE]
PARTITIONS = ["aws", "aws-cn", "aws-us-gov"]
TRUSTED = "arn:aws:iam::111122223333:role/scanner"
# The destination that stands for each kind of hand-over, by the names that the template has for it.
HANDOVERS = {
    "secrets-manager": ("--handover", "secrets-manager:birthright/{user_name}"),
    "existing-secret": ("--handover", "existing-secret:birthright/{user_name}"),
    "ssm": ("--handover", "ssm:/birthright/{user_name}"),
    "local": ("--handover", "command:anything"),
    "no-rotation": ("--no-rotate",),
}
_NOTHING = object()


class _Loader(yaml.SafeLoader):
    """Reads `!Ref x` as {"Ref": x} and `!If [...]` as {"Fn::If": [...]}."""


def _tagged(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.SequenceNode):
        value: Any = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.ScalarNode)
        value = loader.construct_scalar(node)
    return {name if name == "Ref" else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _tagged)


def load(template: str) -> dict[str, Any]:
    found = yaml.load((FOLDER / f"{template}.yaml").read_text(), _Loader)  # noqa: S506 - it is a SafeLoader
    assert isinstance(found, dict)
    return found


class Stack:
    """A template with its parameters filled in, as CloudFormation would."""

    def __init__(self, template: str, partition: str = "aws", **parameters: str) -> None:
        self.template = load(template)
        defaults = {name: p.get("Default") for name, p in self.template["Parameters"].items()}
        assert set(parameters) <= set(defaults)
        self.values = {**defaults, "TrustedPrincipalArn": TRUSTED, **parameters, "AWS::Partition": partition}
        self.role: dict[str, Any] = self.filled(self.template["Resources"]["Role"]["Properties"])

    def filled(self, node: Any) -> Any:  # noqa: ANN401 - a tree of anything
        """Return a part of the template without functions."""
        if isinstance(node, list):
            return [item for item in map(self.filled, node) if item is not _NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1 and next(iter(node)) in {"Ref", "Fn::If", "Fn::Sub", "Fn::Not", "Fn::Equals"}:
            return self._called(*next(iter(node.items())))
        items = ((key, self.filled(value)) for key, value in node.items())
        return {key: value for key, value in items if value is not _NOTHING}

    def _called(self, function: str, argument: Any) -> Any:  # noqa: ANN401 - as above
        if function == "Ref":
            return _NOTHING if argument == "AWS::NoValue" else self.values[argument]
        if function == "Fn::Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda name: str(self.values[name[1]]), argument)
        if function == "Fn::If":
            condition, yes, no = argument
            return self.filled(yes if self.filled(self.template["Conditions"][condition]) else no)
        values = self.filled(argument)
        return not values[0] if function == "Fn::Not" else values[0] == values[1]

    @property
    def policy(self) -> Any:  # noqa: ANN401 - as above
        """The role's one policy."""
        (policy,) = self.role["Policies"]
        return policy["PolicyDocument"]


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> Any:  # noqa: ANN401 - any JSON
    capsys.readouterr()
    assert run(["permissions", *options]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_cfn_lint_finds_nothing() -> None:
    """Neither errors nor warnings in any file of the folder; what cfn-lint calls informational are ideas."""
    from cfnlint.api import lint_all  # takes seconds to import

    files = sorted(FOLDER.glob("*.yaml"))
    assert [file.stem for file in files] == TEMPLATES
    found = [match for file in files for match in lint_all(file.read_text())]
    assert [str(match) for match in found if not match.rule.id.startswith("I")] == []


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_reading_role_may_do_what_is_printed(partition: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The role's policy is that of `birthright permissions`, in every partition."""
    assert Stack(READ, partition).policy == printed(capsys, "--partition", partition)


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("handover", HANDOVERS)
@pytest.mark.parametrize("annotate", ["yes", "no"])
def test_the_retiring_role_may_do_what_is_printed(
    handover: str, annotate: str, partition: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The role's policy is that of `birthright permissions --for retire` with the same hand-over."""
    options = [*HANDOVERS[handover], *(["--annotate"] if annotate == "yes" else [])]
    expected = printed(capsys, "--for", "retire", "--partition", partition, *options)
    assert Stack(RETIRE, partition, Handover=handover, Annotate=annotate).policy == expected


def test_every_handover_is_tried() -> None:
    """The table above has all kinds that the template offers, and its default first."""
    parameter = load(RETIRE)["Parameters"]["Handover"]
    assert parameter["AllowedValues"] == list(HANDOVERS)
    assert parameter["Default"] in HANDOVERS


def test_secrets_may_have_other_names(capsys: pytest.CaptureFixture[str]) -> None:
    """HandoverName is what the spec says, with * for its placeholders."""
    expected = printed(capsys, "--for", "retire", "--handover", "ssm:/ci/{user_name}/key")
    assert Stack(RETIRE, Handover="ssm", HandoverName="ci/*/key").policy == expected


@pytest.mark.parametrize("template", TEMPLATES)
def test_one_principal_is_trusted_and_only_with_the_external_id(template: str) -> None:
    """Who may take on the role is what was given; an external id, if given, must be named."""
    plain = {"Effect": "Allow", "Principal": {"AWS": TRUSTED}, "Action": "sts:AssumeRole"}
    assert Stack(template).role["AssumeRolePolicyDocument"]["Statement"] == [plain]
    (statement,) = Stack(template, ExternalId="x-1").role["AssumeRolePolicyDocument"]["Statement"]
    assert statement == {**plain, "Condition": {"StringEquals": {"sts:ExternalId": "x-1"}}}


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize(
    ("principal", "accepted"),
    [
        (TRUSTED, True),
        ("arn:aws-cn:iam::111122223333:root", True),
        ("arn:aws:iam::111122223333:user/ops/birthright", True),
        ("arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_x", True),
        ("*", False),
        ("", False),
        ("111122223333", False),
        ("arn:aws:iam::*:root", False),
        ("arn:aws:iam::111122223333:role/*", False),
        ("arn:aws:iam::111122223333:role/a*/b", False),
        ("arn:aws:iam::111122223333:role/a?/b", False),
        ("arn:aws:iam::111122223333:*", False),
        ("arn:aws:sts::111122223333:assumed-role/a/b", False),
        (f"{TRUSTED}\n", False),
        (f"{TRUSTED},*", False),
    ],
)
def test_no_wildcard_is_trusted(template: str, principal: str, accepted: bool) -> None:  # noqa: FBT001
    """TrustedPrincipalArn takes one principal of one account, and nothing that stands for several."""
    pattern = load(template)["Parameters"]["TrustedPrincipalArn"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, principal)) == accepted


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize(
    ("external_id", "accepted"), [("", True), ("a1", True), ("a", False), ("a b", False), ("*", False)]
)
def test_external_ids(template: str, external_id: str, accepted: bool) -> None:  # noqa: FBT001
    """An external id is none, or one that STS takes."""
    pattern = load(template)["Parameters"]["ExternalId"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, external_id)) == accepted


@pytest.mark.parametrize(
    ("name", "accepted"), [("birthright/*", True), ("a", True), ("*", False), ("/a", False), ("", False)]
)
def test_not_every_secret_is_named(name: str, accepted: bool) -> None:  # noqa: FBT001
    """The names of secrets begin with something."""
    pattern = load(RETIRE)["Parameters"]["HandoverName"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, name)) == accepted


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_role_is_named_described_and_tagged(template: str) -> None:
    """Its name and longest session are parameters, and the stack says its ARN."""
    stack = Stack(template, RoleName="other", MaxSessionDuration="7200")
    assert (stack.role["RoleName"], stack.role["MaxSessionDuration"]) == ("other", "7200")
    assert stack.role["Tags"] == [{"Key": "application", "Value": "birthright"}]
    assert stack.role["Description"]
    assert stack.template["Description"]
    assert stack.template["Outputs"]["RoleArn"]["Value"] == {"Fn::GetAtt": "Role.Arn"}
    assert load(template)["Parameters"]["RoleName"]["Default"] == template.removesuffix("-role").replace(
        "-read", ""
    )
