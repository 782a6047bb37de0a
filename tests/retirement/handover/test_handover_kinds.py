"""What a kind of destination declares in its own file, and that nothing else knows kinds by name."""

import ast
from pathlib import Path

import pytest

import birthright.retirement
from birthright.errors import PlanError
from birthright.retirement.handover.command import KIND as PROGRAM
from birthright.retirement.handover.interface import AwsCliExample, DestinationType, Owner, Scope
from birthright.retirement.handover.registry import KINDS, parse_spec, slot
from birthright.retirement.permissions import retire_policy
from birthright.retirement.planning.vetting import vet
from birthright.settings import RetirementSettings
from plan_helpers import only, planned, used

AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
NEW = "file://NEW_KEY.json"
TABLE: list[tuple[str, Scope, str]] = [
    (
        "secrets-manager",
        "aws",
        f"aws secretsmanager create-secret --name birthright/alice --secret-string {NEW}",
    ),
    (
        "existing-secret:app/{user_name}",
        "aws",
        f"aws secretsmanager put-secret-value --secret-id app/alice --secret-string {NEW}",
    ),
    (
        "ssm:/keys/{user_name}/{access_key_id}",
        "aws",
        f"aws ssm put-parameter --name /keys/alice/NEW_ACCESS_KEY_ID --type SecureString --value {NEW}",
    ),
    (f"age:{AGE}:keys/{{access_key_id}}.age", "machine", ""),
    ("profile:{user_name}", "machine", ""),
    ("command:store {user_name}", "program", ""),
]
VAULT = DestinationType(
    name="vault",
    scope="machine",
    check=PROGRAM.check,
    destination=PROGRAM.destination,
    actions=lambda rest: (("vault:Put", f"arn:{{partition}}:vault:::{rest}"),),
    aws_cli=AwsCliExample("vault", "put", "at", "data"),
)


def test_every_kind_has_a_row() -> None:
    """The table below is complete, and so is the one in the documentation."""
    assert [spec.partition(":")[0] for spec, _, _ in TABLE] == list(KINDS)
    page = Path(__file__).parents[3].joinpath("docs/handover.md").read_text()
    assert [name for name in KINDS if f"\n| `{name}:" not in page] == []


@pytest.mark.parametrize(("spec", "scope", "by_hand"), TABLE)
def test_a_kind_decides_how_it_is_planned(spec: str, scope: Scope, by_hand: str, owner: Owner) -> None:
    """Its scope says whose a place is and who has to name it; its example is the plan's command."""
    assert parse_spec(spec)[0].scope == scope
    places = {"aws": (owner.account_id, "there"), "machine": ("", "there"), "program": None}
    assert slot(spec, owner.account_id, "there") == places[scope]
    plan = planned(used(), handover=spec)
    commands = [step.cli for step in only(plan).steps if step.what.startswith("hand the new secret")]
    assert commands == [by_hand]
    if scope == "aws":
        vet(plan, RetirementSettings(), None)
    else:
        with pytest.raises(PlanError, match="which nobody named here"):
            vet(plan, RetirementSettings(), None)


def test_a_new_kind_needs_no_other_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is in the registry it is planned, kept apart, vetted and permitted by what it declares."""
    monkeypatch.setitem(KINDS, "vault", VAULT)
    plan = planned(used(), used(account_id="111122224444"), handover="vault:keys/app")
    assert [item.action for item in plan.items] == ["rotate", "refuse"]
    assert f"aws vault put --at keys/app --data {NEW}" in [step.cli for step in plan.items[0].steps]
    vet(plan, RetirementSettings(handover="vault:keys/app"), None)
    with pytest.raises(PlanError, match="which nobody named here"):
        vet(plan, RetirementSettings(), None)
    assert "vault:Put" in str(retire_policy("aws", ["vault:keys/app"]))


def test_nothing_else_knows_kinds_by_name() -> None:
    """No text in the rest of the retirement wing is a kind's name, or begins like a spec of it."""
    wing = Path(birthright.retirement.__file__).parent
    known = {
        f"{path.relative_to(wing)}:{node.lineno}: {node.value[:40]}"
        for path in wing.rglob("*.py")
        if "handover" not in path.relative_to(wing).parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.partition(":")[0].strip() in KINDS
    }
    assert known == set()
