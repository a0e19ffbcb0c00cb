"""What `compare` and `Watch` hand back: the values of domain/comparison, and how to print, show and save them.

Texts and pages are made by text.py and page.py, loaded when they are asked for. Called by users and by cli/monitor.
"""

from pathlib import Path

import msgspec

from noria.domain.comparison import Compared
from noria.errors import SettingInvalid


class Comparison(Compared, frozen=True, kw_only=True):
    """The result of comparing two tables. `print` it, look at it in a notebook, or `save` it as a page or as JSON."""

    @property
    def exit_code(self) -> int:
        """0 when all is fine, 1 on an alarm: what `noria monitor` ends with."""
        return 1 if self.verdict == "alarm" else 0

    def json(self) -> str:
        """Everything as one JSON object, indented, for CI."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode() + "\n"

    def html(self) -> str:
        """The report as one page that needs nothing else: no script, no file and no host beside it."""
        from noria.monitor.page import page

        return page(self)

    def save(self, path: str | Path) -> Path:
        """Write the page (.html) or the JSON (.json), by the end of the name.

        Raises SettingInvalid for another one, or where it cannot be written.
        """
        target = Path(path)
        if target.suffix not in (".html", ".json"):
            raise SettingInvalid(
                f"'{target}' is neither .html nor .json", remedy="name the file report.html or report.json"
            )
        try:
            target.write_text(self.html() if target.suffix == ".html" else self.json(), encoding="utf-8")
        except OSError as exc:
            raise SettingInvalid(
                f"the report cannot be written to '{target}'",
                cause=exc.strerror or str(exc),
                remedy="name a place that exists",
            ) from exc
        return target

    def __str__(self) -> str:
        from noria.monitor.text import text

        return text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame of its own, so that neither changes the other's looks."""
        from noria.monitor.page import framed

        return framed(self)
