"""A kind of subject that birthright does not have: its table, its entry in the registry, a page."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from birthright.facts.model import Principal
from birthright.facts.schema import Table, add_table, remove_table, scan_version
from birthright.policies.subjects import BOOLEAN, TEXT, USER, Subject, add_subject, remove_subject

SOURCE = "ListServiceSpecificCredentials"
PAGE = """\
---
id: service-credential-forgotten
title: Service credentials are in use
risk: low
effort: low
subject: service-credential
---

Why this matters.

## Rule

```sql
select *, not forgotten as compliant, 'nobody uses it' as reason from service_credentials
```

## Remediation

Do something.

## Tests

```yaml
- name: used
  facts: {service_credentials: [{forgotten: false}]}
  expect: pass
- name: each credential is judged
  facts: {service_credentials: [{}, {forgotten: false}, {forgotten: null}]}
  expect: [fail, pass, unknown]
- name: nobody could list them
  coverage: {ListServiceSpecificCredentials: denied}
  facts: {service_credentials: [{}]}
  expect: unknown
- name: a user without any
  expect: out
```
"""


class ServiceCredential(msgspec.Struct, frozen=True):
    """A row of the table."""

    account_id: str
    user_name: str
    user_arn: str | None = None
    is_root: bool = False
    console_password: bool | None = None
    credential_id: str | None = None
    created_at: datetime | None = None
    forgotten: bool | None = None


def _case(user: Principal, place: int, given: Mapping[str, Any], as_of: datetime) -> dict[str, Any]:
    _ = given, as_of
    return {"credential_id": f"ACCA{place}", "created_at": user.created_at, "forgotten": True}


@contextmanager
def service_credentials() -> Iterator[Subject]:
    """Register the table and the subject for a while."""
    name = "service_credentials"
    add_table(Table(name=name, row=ServiceCredential, since=scan_version() + 1, sources=(SOURCE,)))
    subject = Subject(
        name="service-credential",
        label="service credential",
        columns={**USER, "credential_id": TEXT, "forgotten": BOOLEAN},
        id_column="credential_id",
        needs=(SOURCE,),
        table=name,
        case=_case,
    )
    add_subject(subject)
    try:
        yield subject
    finally:
        remove_subject(subject.name)
        remove_table(name)
