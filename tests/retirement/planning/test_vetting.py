"""What a plan may not ask for where it is applied, and what settings and plans may not say at all."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from birthright.errors import PlanError, UsageError
from birthright.retirement.model import Terms
from birthright.retirement.planning.plan import Plan, digest_of
from birthright.retirement.planning.plan_file import load_plan, save_plan
from birthright.retirement.planning.vetting import vet
from birthright.settings import RetirementSettings, load_settings
from plan_helpers import finding, key_id, planned, used
from retire_helpers import Scene, scene

AGE = "age:age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p:/keys/{access_key_id}.age"
OF_THIS_MACHINE = ["command:/bin/store {user_name}", "profile:{user_name}", AGE]
SETTINGS = RetirementSettings()
DURATIONS = ("in_use", "quarantine", "quiet", "deadline", "lease")


def forged(plan: Plan, *, terms: dict[str, timedelta] | None = None, **values: Any) -> Plan:  # noqa: ANN401
    """Change a plan's terms, and fields of all its items, and make its digest right again."""
    items = tuple(msgspec.structs.replace(item, **values) for item in plan.items)
    changed = msgspec.structs.replace(
        plan, items=items, terms=msgspec.structs.replace(plan.terms, **(terms or {}))
    )
    return msgspec.structs.replace(changed, digest=digest_of(changed))


def refusal(plan: Plan, settings: RetirementSettings = SETTINGS, handover: str | None = None) -> str:
    """Vet a plan, which must be refused in one line with a hint; return it."""
    with pytest.raises(PlanError) as caught:
        vet(plan, settings, handover)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What a plan may do here


def test_a_plan_of_our_own() -> None:
    """A plan made with these settings passes."""
    vet(planned(finding(), used(user_name="bob", access_key_id=key_id(2))), SETTINGS, None)


@pytest.mark.parametrize("pattern", ["alice", "al*", "arn:aws:iam::*:user/alice", "*"])
def test_who_is_protected_here(pattern: str) -> None:
    """A plan made where alice is not protected is refused where she is, by name or ARN."""
    told = refusal(planned(finding()), RetirementSettings(protected=("x", pattern)))
    assert "alice, who is protected here" in told


def test_a_user_with_anothers_arn() -> None:
    """A forged ARN does not hide a user who is protected by ARN."""
    settings = RetirementSettings(protected=("arn:aws:iam::*:user/alice",))
    for arn in ("arn:aws:iam::111122223333:user/bob", "arn:aws:iam::999999999999:user/x", ""):
        refusal(forged(planned(finding()), user_arn=arn), settings)


def test_what_is_refused_is_nobodys_trouble() -> None:
    """An item that the plan itself refuses is not touched, so that it need not be allowed."""
    plan = planned(finding(), protected=("alice",))
    assert [item.action for item in plan.items] == ["refuse"]
    vet(plan, RetirementSettings(protected=("alice",)), None)


@pytest.mark.parametrize("name", ["in_use", "quarantine", "quiet"])
def test_shorter_waits_than_here(name: str) -> None:
    """Waits shorter than the settings' are refused, longer ones are not."""
    ours: timedelta = getattr(Terms(), name)
    told = refusal(forged(planned(finding()), terms={name: ours - timedelta(seconds=1)}))
    assert told.startswith(f"{name} is ")
    vet(forged(planned(finding()), terms={name: ours + timedelta(days=1)}), SETTINGS, None)


@pytest.mark.parametrize("spec", OF_THIS_MACHINE)
def test_programs_and_files_that_nobody_named_here(spec: str) -> None:
    """A plan runs no program and writes no file of this machine that its settings do not name."""
    plan = planned(used(), handover=spec)
    assert "which nobody named here" in refusal(plan)
    assert "which nobody named here" in refusal(plan, RetirementSettings(handover={"bob": spec}))
    assert "which nobody named here" in refusal(plan, handover=f"{spec}x")
    for other in (f" {spec}", spec.replace(":", " :", 1), spec.replace("{user_name}", "alice") + " "):
        refusal(forged(plan, handover=other), RetirementSettings(handover=spec))


@pytest.mark.parametrize("spec", OF_THIS_MACHINE)
def test_programs_and_files_that_are_named_here(spec: str) -> None:
    """The same spec is accepted if the settings name it, for all or for this user, or --handover does."""
    plan = planned(used(), handover=spec)
    vet(plan, RetirementSettings(handover=spec), None)
    vet(plan, RetirementSettings(handover={"bob": "profile:b", "ali*": spec}), None)
    vet(plan, SETTINGS, spec)


@pytest.mark.parametrize("spec", ["secrets-manager:x/{user_name}", "ssm:/x/{user_name}", "existing-secret:x"])
def test_destinations_in_the_users_own_account(spec: str) -> None:
    """What stays in the user's account need not be named here."""
    vet(planned(used(), handover=spec), SETTINGS, None)


def test_a_destination_that_is_not_known_here() -> None:
    """A plan with a kind that this version does not have is refused before any key is looked at."""
    plan = forged(planned(used(), handover="ssm:/x"), handover="vault:x")
    with pytest.raises(UsageError, match="no kind of hand-over destination"):
        vet(plan, SETTINGS, "vault:x")


# The same, asked by the command


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Give a scene with a plan: one key to be retired, one to be rotated."""
    with scene(tmp_path_factory.mktemp("forged") / "scene") as made:
        made.idle("idle")
        made.busy("sm-a")
        made.make_plan()
        yield made


@pytest.mark.parametrize("what", ["command", "protected", "quarantine", "negative"])
def test_a_forged_plan_is_refused_before_any_key_is_looked_at(here: Scene, what: str) -> None:
    """One line, code 2; AWS is asked for nothing but the time, nothing runs and the journal stays empty."""
    pwned = here.folder / "pwned"
    plan, settings = here.plan, dict[str, object]()
    if what == "command":
        plan = forged(plan, handover=f"command:/usr/bin/touch {pwned}")
    elif what == "protected":
        settings["protected"] = ["idle"]
    elif what == "quarantine":
        settings["quarantine"] = "30d"
    else:
        plan = forged(plan, terms={"quarantine": timedelta(days=-1)})
    here.settings(**settings)
    save_plan(here.folder / "forged.json", plan)
    before = here.box.calls.copy()
    ran = here.call("apply", "forged.json", "--yes")
    assert ran.code == 2, ran
    assert ran.trouble
    assert set(here.box.calls - before) <= {"GetCallerIdentity"}
    assert here.journal.find() == []
    assert not pwned.exists()


# What nobody may say


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("text", ["0s", "0d", "9999999d", "99999999999999999999d", "-1d", "", "14"])
def test_durations_in_settings(tmp_path: Path, name: str, text: str) -> None:
    """No time at all and longer than anybody waits are refused in one line that names the field."""
    path = tmp_path / "birthright.toml"
    path.write_text(f'[retirement]\n{name} = "{text}"\n')
    with pytest.raises(UsageError) as caught:
        load_settings(path)
    assert f"retirement.{name}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["1s", "14d", "3653d"])
def test_durations_that_can_be_waited_for(tmp_path: Path, text: str) -> None:
    """From a second to ten years everything goes."""
    path = tmp_path / "birthright.toml"
    path.write_text("[retirement]\n" + "".join(f'{name} = "{text}"\n' for name in DURATIONS))
    assert load_settings(path).retirement.quarantine == text


@pytest.mark.parametrize("name", ["in_use", "quarantine", "quiet", "deadline"])
@pytest.mark.parametrize(
    "wait", [timedelta(0), timedelta(seconds=-1), timedelta(days=-1), timedelta(days=9_999_999)]
)
def test_waits_in_plans(tmp_path: Path, name: str, wait: timedelta) -> None:
    """No wait, negative ones and endless ones are refused in one line when the plan is read."""
    path = tmp_path / "plan.json"
    save_plan(path, forged(planned(finding()), terms={name: wait}))
    with pytest.raises(PlanError, match="waits") as caught:
        load_plan(path)
    assert "\n" not in str(caught.value)


# One place for two


@pytest.mark.parametrize(
    "handover",
    [
        "existing-secret:prod/app",
        AGE,
        "profile:app",
        {"alice": "profile:app", "*": "profile:app:./creds"},
        {"alice": "existing-secret:app", "*": "secrets-manager:app"},
    ],
)
def test_two_new_secrets_for_one_place(
    handover: str | dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second would replace the first: it is refused, and told how to have a place of its own."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "creds")
    plan = planned(
        used(),
        used(user_name="bob", access_key_id=key_id(2)),
        finding(user_name="eve", access_key_id=key_id(3)),
        handover=handover,
    )
    assert [(item.user_name, item.action) for item in plan.items] == [
        ("alice", "rotate"),
        ("bob", "refuse"),
        ("eve", "retire"),
    ]
    refused = plan.items[1]
    assert refused.why == "another user's new secret goes to the same place"
    assert "[retirement.handover]" in refused.advice


@pytest.mark.parametrize(
    "handover",
    [
        "existing-secret:prod/{user_name}",
        "profile:{user_name}",
        "command:/bin/store",
        {"alice": "existing-secret:app", "*": "ssm:/app"},
    ],
)
def test_a_place_for_each(handover: str | dict[str, str]) -> None:
    """Each user's own place is fine, and a program knows itself where each secret goes."""
    plan = planned(used(), used(user_name="bob", access_key_id=key_id(2)), handover=handover)
    assert [item.action for item in plan.items] == ["rotate", "rotate"]


def test_secrets_of_one_name_in_two_accounts() -> None:
    """AWS keeps them apart; a file of this machine does not."""
    both = used(), used(account_id="111122224444", access_key_id=key_id(2))
    secrets = planned(*both, handover="existing-secret:prod/app")
    assert [item.action for item in secrets.items] == ["rotate", "rotate"]
    profiles = planned(*both, handover="profile:app")
    assert [item.action for item in profiles.items] == ["rotate", "refuse"]
