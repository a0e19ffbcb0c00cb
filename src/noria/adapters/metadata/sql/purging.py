"""Forget runs, trained models and experiments with all that belongs to them: points, params, tags, datasets, entries of files.

Whether something may be forgotten is asked before. Content of files is the blob store's to free (`noria gc`). Called by runs.py, experiments.py and
trained.py.
"""

from collections.abc import Sequence

from noria.adapters.metadata.sql.artifacts import drop_files
from noria.adapters.metadata.sql.connection import Connection, listed, portions
from noria.adapters.metadata.sql.series import drop_points


def forget_runs(connection: Connection, project: int, numbers: Sequence[int]) -> None:
    """Drop runs by their numbers."""
    for some in portions(numbers):
        marks, values = listed(some)
        roots = connection.execute(
            "SELECT coalesce(artifact_root, experiment || '/' || id || '/artifacts') FROM runs"
            f" WHERE number IN ({marks})",
            values,
        ).fetchall()
        drop_files(connection, project, [root for (root,) in roots])
        drop_points(connection, some)
        for table in ("trained_points", "params", "tags", "inputs"):
            connection.execute(f"DELETE FROM {table} WHERE run IN ({marks})", values)
        connection.execute(f"DELETE FROM runs WHERE number IN ({marks})", values)


def forget_trained(connection: Connection, project: int, numbers: Sequence[int]) -> None:
    """Drop trained models by their numbers."""
    for some in portions(numbers):
        marks, values = listed(some)
        roots = connection.execute(
            "SELECT coalesce(artifact_root, experiment || '/models/' || id || '/artifacts') FROM trained"
            f" WHERE number IN ({marks})",
            values,
        ).fetchall()
        drop_files(connection, project, [root for (root,) in roots])
        for table in ("trained_points", "trained_params", "trained_tags"):
            connection.execute(f"DELETE FROM {table} WHERE model IN ({marks})", values)
        connection.execute(f"DELETE FROM trained WHERE number IN ({marks})", values)


def forget_experiment(connection: Connection, project: int, number: int) -> int:
    """Drop an experiment with its runs and trained models; gives how many runs there were. Its number is not given again."""
    of_it = (project, number)
    runs = connection.execute("SELECT number FROM runs WHERE project = ? AND experiment = ?", of_it).fetchall()
    models = connection.execute("SELECT number FROM trained WHERE project = ? AND experiment = ?", of_it).fetchall()
    forget_trained(connection, project, [row[0] for row in models])
    forget_runs(connection, project, [row[0] for row in runs])
    connection.execute("DELETE FROM experiment_tags WHERE project = ? AND experiment = ?", of_it)
    connection.execute("DELETE FROM experiments WHERE project = ? AND number = ?", of_it)
    connection.execute("INSERT INTO experiments_gone (project, number) VALUES (?, ?)", of_it)
    return len(runs)
