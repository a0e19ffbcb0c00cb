"""Draw a plan for a terminal: what would change, from what, to what, and what follows. Called by `noria plan`, `noria apply` and `noria deploy`."""

from noria.cli.show import console, table
from noria.domain.declaration import DeploymentPlan


def show(planned: DeploymentPlan, *, done: bool) -> None:
    """The differences as a table, and what was left as it stands. done: they have been applied."""
    out = console()
    if planned.differences:
        rows = [[d.deployment, d.field, d.before or "-", d.after or "-", d.consequence] for d in planned.differences]
        table(["deployment", "what", "before", "after", "what follows"], rows)
    for note in planned.notes:
        out.print(f"left as it stands: {note}", markup=False)
    count = len(planned.differences)
    if not count:
        out.print("Nothing to change: what is declared is what stands.")
    elif done:
        out.print(f"✓ {count} {'thing' if count == 1 else 'things'} changed", markup=False)
    else:
        out.print(f"{count} {'thing' if count == 1 else 'things'} would change.", markup=False)
