"""What goes wrong with a source and who was told: incidents and the outbox."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = ""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    if STATEMENTS:
        op.execute(STATEMENTS)
