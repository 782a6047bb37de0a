"""Credentials that expire: renewed between calls, without stopping everything else."""

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from birthright.aws.session import AwsSession
from birthright.errors import CredentialsError
from birthright.times import format_instant, now

Profile = Callable[[str], None]


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Make the default profile run a Python script for its credentials."""

    def make(script: str) -> None:
        (tmp_path / "give.py").write_text(script)
        command = shlex.join([sys.executable, "-S", "-E", str(tmp_path / "give.py")])
        (tmp_path / "config").write_text(f"[default]\ncredential_process = {command}\n")
        monkeypatch.setitem(os.environ, "AWS_CONFIG_FILE", str(tmp_path / "config"))

    return make


def _giving(minutes: int, then: str = "") -> str:
    """Return a script that counts its runs in its own folder and gives credentials for so long."""
    answer = {
        "Version": 1,
        "SecretAccessKey": "s",
        "SessionToken": "t",
        "Expiration": format_instant(now() + timedelta(minutes=minutes)),
    }
    return (
        "import json, pathlib, time\n"
        "runs = pathlib.Path(__file__).with_name('runs')\n"
        "n = int(runs.read_text()) + 1 if runs.exists() else 1\n"
        f"runs.write_text(str(n))\n{then}\n"
        f"print(json.dumps({{**{json.dumps(answer)}, 'AccessKeyId': f'ASIA{{n}}'}}))\n"
    )


def test_renewing_does_not_stop_the_loop(profile: Profile) -> None:
    """While a credential process takes its time, answers to other calls are read; each renewal is used."""
    profile(_giving(5, "time.sleep(0.3)"))

    async def run() -> tuple[list[str], float]:
        session, gaps = AwsSession(), [0.0]
        clock = asyncio.get_running_loop().time

        async def beat() -> None:
            while True:
                began = clock()
                await asyncio.sleep(0.005)
                gaps.append(clock() - began)

        beating = asyncio.create_task(beat())
        ids = [(await session.credentials()).access_key_id for _ in range(2)]
        beating.cancel()
        return ids, max(gaps)

    ids, longest = asyncio.run(run())
    assert ids == ["ASIA2", "ASIA3"]
    assert longest < 0.2


def test_what_lasts_is_not_renewed(profile: Profile, tmp_path: Path) -> None:
    """Credentials good for hours are asked for once, and what they became is kept."""
    profile(_giving(300))

    async def run() -> list[int]:
        session = AwsSession()
        return [id(await session.credentials()) for _ in range(5)]

    assert len(set(asyncio.run(run()))) == 1
    assert (tmp_path / "runs").read_text() == "1"


def test_a_renewal_that_fails_is_told(profile: Profile) -> None:
    """When the process gives up later on, the call fails with one line and without what it printed."""
    fails = 'if n > 1:\n    print(\'{"SecretAccessKey": "hidden"\'); raise SystemExit(0)'
    profile(_giving(5, fails))

    async def run() -> None:
        await AwsSession().credentials()

    with pytest.raises(CredentialsError) as caught:
        asyncio.run(run())
    assert "\n" not in str(caught.value)
    assert "hidden" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value}"
