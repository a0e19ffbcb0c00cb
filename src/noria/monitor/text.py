"""A comparison as plain text for a terminal or a log: verdict, reasons, the columns that moved most. The page is page.py. Called by result."""

from noria.domain.comparison import Compared
from noria.monitor.wording import shortened, small

SHOWN = 10


def text(found: Compared) -> str:
    """The comparison in lines."""
    lines = [found.headline]
    lines += [f"  {reason}" for reason in found.reasons]
    sizes = f"{found.reference.rows:,} rows against {found.current.rows:,}"
    lines.append(f"  {sizes}; wobble learnt from {found.window}; {found.budget}.")
    if found.quality is not None and not found.quality.alarm:
        lines.append(f"  Quality: {found.quality.says}.")
    if found.columns:
        width = max(len(shortened(c.name, 30)) for c in found.columns[:SHOWN])
        lines.append("")
        lines.append(f"  {'column':<{width}}  {'shift':>7}  {'usual':>7}  {'evidence':>8}  {'PSI':>7}  what moved most")
        for each in found.columns[:SHOWN]:
            mark = "✗" if each.blamed else " "
            lines.append(
                f"{mark} {shortened(each.name, 30):<{width}}  {each.shift:>7.3f}  {max(each.margin, each.ks_noise):>7.3f}"
                f"  {each.evidence:>8.1f}  {small(each.psi):>7}  {each.says}"
            )
        if len(found.columns) > SHOWN:
            lines.append(f"  … and {len(found.columns) - SHOWN} more")
    lines += [f"  {f.summary}" for f in found.findings if f.severity == "info"]
    lines += [f"  note: {note}" for note in found.notes]
    return "\n".join(lines)
