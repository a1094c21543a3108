"""What is known of a source on a day."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = ""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    if STATEMENTS:
        op.execute(STATEMENTS)
