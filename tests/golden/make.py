"""Makes one golden store: `PYTHONPATH=OLD/src python make.py STORE`; OLD is a checkout of earlier code."""

import base64
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEAD = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,"
    "password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,"
    "access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,"
    "access_key_2_last_used_service,cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
ARN = "arn:aws:iam::111122223333"
NO_KEY = "false,N/A,N/A,N/A,N/A"
ROOT = (
    f"<root_account>,{ARN}:root,2020-01-01T00:00:00Z,not_supported,2026-01-05T00:00:00Z,not_supported,"
    f"not_supported,true,{NO_KEY},{NO_KEY},false,N/A,false,N/A"
)


def user(name: str, made: str, key: str) -> str:
    """Write the row of a user without a password and with one key at most."""
    return f"{name},{ARN}:user/{name},{made},false,N/A,N/A,N/A,false,{key},{NO_KEY},false,N/A,false,N/A"


def scan(store: str, generated: str, *users: str) -> None:
    """Scan a report, offline."""
    content = "\n".join([HEAD, ROOT, *users]) + "\n"
    answer = {"Content": base64.b64encode(content.encode()).decode(), "ReportFormat": "text/csv"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        file.write_text(json.dumps({**answer, "GeneratedTime": generated}))
        command = [
            sys.executable,
            "-m",
            "birthright",
            "scan",
            "--credential-report",
            str(file),
            "--store",
            store,
        ]
        subprocess.run([*command, "--format", "json"], check=False, stdout=subprocess.DEVNULL)
    time.sleep(1.1)  # ids sort by the second


ann = user("ann", "2025-05-05T10:00:00Z", "{},2025-05-05T10:00:01Z,2026-02-20T00:00:00Z,us-east-1,s3")
bob = user("bob", "2024-01-01T00:00:00Z", "true,2024-06-01T00:00:00Z,2026-02-20T00:00:00Z,us-east-1,sts")
carol = user("carol", "2026-03-01T12:00:00Z", "true,2026-03-01T12:00:02Z,N/A,N/A,N/A")
scan(sys.argv[1], "2026-03-01T08:00:00+00:00", ann.format("true"), bob)
scan(sys.argv[1], "2026-03-02T08:00:00+00:00", ann.format("false"), bob, carol)
