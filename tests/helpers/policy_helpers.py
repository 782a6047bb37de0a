"""What the tests about policies share: a small page without faults."""

PAGE = """\
---
id: tiny
title: A tiny policy
risk: low
effort: low
subject: access-key
parameters:
  max_age: {default: 90d, about: How old a key may be.}
---

Why this matters.

## Rule

```sql
select *, created_at >= $as_of - $max_age as compliant, 'because' as reason from access_keys
```

## Remediation

Do something.

## Tests

```yaml
- {name: young, keys: [{created_at: as_of - 1d}], expect: pass}
- {name: old, keys: [{created_at: as_of - 91d}], expect: fail}
- {name: no time, keys: [{created_at: null}], expect: unknown}
```
"""
