"""Experiments, searchable params and tags, artifacts, trained models. Never edited once released.

Revision 0002, after 0001.
"""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what is new and move what was there."""
