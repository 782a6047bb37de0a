"""Run by alembic: apply the migrations within the transaction that `migrating.py` has begun."""

from alembic import context

from birthright.retirement.journal.schema import version

context.configure(connection=context.config.attributes["connection"], version_table=version.name)
context.run_migrations()
