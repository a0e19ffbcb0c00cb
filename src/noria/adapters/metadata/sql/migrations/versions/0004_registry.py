"""The catalog of models, the feed and its webhooks. Never edited once released.

Revision 0004, after 0003.
"""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what is new and move what was there."""
