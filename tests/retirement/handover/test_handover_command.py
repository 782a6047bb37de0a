"""The user's own program: what it gets, what its end means, and what of its words is shown."""

import base64
import json
import stat
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from birthright.errors import HandoverError
from birthright.retirement.handover import command
from birthright.retirement.handover.interface import NewSecret, Owner
from birthright.retirement.handover.registry import destination

Program = Callable[..., str]
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Write a shell script; give a spec that runs it."""

    def write(text: str, arguments: str = "") -> str:
        path = tmp_path / "store"
        path.write_text(f"#!/bin/sh\n{textwrap.dedent(text)}\n")
        path.chmod(0o700)
        return f"command:{path} {arguments}"

    return write


def test_it_gets_the_key_on_standard_input(
    program: Program, owner: Owner, parcel: NewSecret, tmp_path: Path
) -> None:
    """One JSON object, and nothing secret in its arguments or environment."""
    spec = program(
        f"cat > {tmp_path}/in; tr '\\0' '\\n' < /proc/self/cmdline > {tmp_path}/arguments;"
        f' printf "%s\\n" "$@" >> {tmp_path}/arguments; env > {tmp_path}/environment',
        "--user={user_name} 'two words; $HOME' {access_key_id}",
    )
    place = destination(spec, owner)
    place.check()
    where = place.deliver(parcel).where
    assert json.loads((tmp_path / "in").read_text()) == {
        "account_id": owner.account_id,
        "user_name": "alice",
        "user_arn": owner.user_arn,
        "access_key_id": parcel.access_key_id,
        "secret_access_key": SECRET,
        "token": parcel.token,
        "ticket": parcel.ticket,
    }
    got = (tmp_path / "arguments").read_text()
    assert got.endswith(f"--user=alice\ntwo words; $HOME\n{parcel.access_key_id}\n")
    assert SECRET not in got + (tmp_path / "environment").read_text() + where
    assert place.holds(parcel.access_key_id, parcel.token) is None


@pytest.mark.parametrize(
    ("text", "certain", "said"),
    [
        ("exit 1", True, "ended with 1"),
        ("exit 128", True, "ended with 128"),
        ("exit 137", False, "ended with 137"),
        ("kill -TERM $$", False, "ended by signal 15"),
        ("kill -KILL $$", False, "ended by signal 9"),
        ("echo first >&2; echo 'vault: sealed' >&2; echo >&2; exit 3", True, "ended with 3: vault: sealed"),
        ("echo loud; exit 3", True, "ended with 3 ("),
    ],
)
def test_what_its_end_means(
    text: str,
    certain: bool,  # noqa: FBT001 - a parameter of the test
    said: str,
    program: Program,
    owner: Owner,
    parcel: NewSecret,
) -> None:
    """An exit code says that nothing is stored, a signal says nothing."""
    with pytest.raises(HandoverError) as caught:
        destination(program(text), owner).deliver(parcel)
    assert caught.value.certain is certain
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "told",
    [
        SECRET,
        f"bad value '{SECRET}'",
        f"...{SECRET[3:11]}...",
        SECRET.upper(),
        SECRET.replace("/", "\\/").replace("+", "%2B"),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(b"a" + SECRET.encode()).decode(),
        base64.b64encode(b"ab" + SECRET.encode()).decode(),
        SECRET.encode().hex(),
        " ".join(SECRET),
    ],
)
def test_an_echo_of_the_secret_is_not_shown(
    told: str, program: Program, owner: Owner, parcel: NewSecret
) -> None:
    """Eight characters of it in a row, quoted or encoded, and the line is kept back."""
    with pytest.raises(HandoverError) as caught:
        destination(program(f"cat <<'E' >&2\n{told}\nE\nexit 1"), owner).deliver(parcel)
    assert caught.value.message.endswith("ended with 1")


def test_standard_output_is_never_shown(
    program: Program, owner: Owner, parcel: NewSecret, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the program prints goes nowhere."""
    destination(program("tee /dev/stderr"), owner).deliver(parcel)
    assert capfd.readouterr() == ("", "")


def test_time_is_limited(
    program: Program, owner: Owner, parcel: NewSecret, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that does not end is ended with all it started; whether it stored anything is open."""
    monkeypatch.setattr(command, "TIMEOUT", 0.3)
    with pytest.raises(HandoverError, match="ended by signal 9") as caught:
        destination(program(f"(sleep 1; touch {tmp_path}/late) & sleep 30"), owner).deliver(parcel)
    assert not caught.value.certain
    time.sleep(1)
    assert not (tmp_path / "late").exists()


def test_a_helper_that_stays_does_not_hide_the_end(
    program: Program, owner: Owner, parcel: NewSecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A background process that keeps the pipe open changes nothing about exit code 0."""
    monkeypatch.setattr(command, "TIMEOUT", 0.3)
    destination(program("cat >/dev/null; sleep 30 & exit 0"), owner).deliver(parcel)


def test_a_program_that_does_not_listen(program: Program, owner: Owner, parcel: NewSecret) -> None:
    """Its exit code is believed, even if it read nothing."""
    destination(program("exec <&-; exit 0"), owner).deliver(
        msgspec.structs.replace(parcel, ticket="x" * 200_000)
    )


def test_a_program_that_cannot_be_run(owner: Owner, parcel: NewSecret, tmp_path: Path) -> None:
    """One that is missing, closed or no program is refused; nothing was stored, for certain."""
    (tmp_path / "closed").write_text("#!/bin/sh\n")
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o700)
    for name in ("none", "closed", ".", "text"):
        place = destination(f"command:{tmp_path}/{name}", owner)
        if name != "text":
            with pytest.raises(HandoverError, match="no program"):
                place.check()
        with pytest.raises(HandoverError) as caught:
            place.deliver(parcel)
        assert caught.value.certain
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) & 0o111 == 0


def test_nothing_is_left_open(program: Program, owner: Owner, parcel: NewSecret) -> None:
    """Pipes are closed whatever the end."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    destination(program("cat >/dev/null"), owner).deliver(parcel)
    with pytest.raises(HandoverError):
        destination(program("exit 1"), owner).deliver(parcel)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
