"""How a journal gets from one version to the next; run by alembic, from `migrating.py`."""
