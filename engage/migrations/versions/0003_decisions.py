"""What people decided about held batches and quarantined rows, and who looked at them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = ""


def upgrade() -> None:
    """Add it; Alembic runs it once, in a transaction."""
    if STATEMENTS:
        op.execute(STATEMENTS)
