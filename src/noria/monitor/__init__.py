"""Compare two tables, or watch a stream of them, without a server: one call, one verdict first. The detector is the one that watches deployments.

>>> from noria import monitor
>>> result = monitor.compare({"age": [20, 30, 40, 50] * 100}, {"age": [30, 50, 20, 40] * 30})
>>> result.verdict
'fine'
"""

from noria.monitor.result import Comparison
from noria.monitor.two_tables import compare
from noria.monitor.watch import Watch

__all__ = ["Comparison", "Watch", "compare"]
