"""Every block of every page does what the page says.

```python blocks run in order in one session, in one folder per page; ```console blocks run each `$ command`, which must end with 0. What stands
below a command, or in an ```output block, must be said (… stands for anything). A block whose first line is `# file: NAME` becomes that file; one
that begins with `# not run` is left out. `<!-- after: PAGE -->` runs another page's blocks first; `<!-- run … -->` is python for the test only.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$|^<!-- (run)\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
AFTER = re.compile(r"<!-- after: (\S+) -->")
RUN = ("python", "console", "output", "toml", "json")
PAGES = sorted(
    p for p in [ROOT / "README.md", *DOCS.rglob("*.md")] if "adr" not in p.parts and "reference" not in p.parts
)


def blocks(page: Path) -> list[dict[str, str]]:
    """What there is to run on a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        kind, body = (match[1], match[2]) if match[1] else ("python", match[4])
        if kind not in RUN or body.startswith("# not run"):
            continue
        where = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
        kind = "file" if body.startswith("# file:") else kind
        if kind not in ("toml", "json"):
            found.append({"kind": kind, "text": body, "where": where})
    return found


RUNNING = [page for page in PAGES if blocks(page)]


def before(page: Path) -> list[Path]:
    """The pages whose folder this one goes on in."""
    return [DOCS / name for name in AFTER.findall(page.read_text(encoding="utf-8"))]


def follow(page: Path, folder: Path) -> None:
    """Do what a page says in a folder of its own, named as a reader names it."""
    listed = folder.parent / f"{page.stem}.json"
    listed.write_text(json.dumps(blocks(page)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("session.py")), str(listed)],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def left_by(tmp_path_factory):
    """page -> the folder as its reader leaves it; made once, and copied by each page that goes on there."""
    folders: dict[Path, Path] = {}

    def folder(page: Path) -> Path:
        if page not in folders:
            made = tmp_path_factory.mktemp(page.stem) / "shop"
            made.mkdir()
            follow(page, made)
            folders[page] = made
        return folders[page]

    return folder


def one(page: Path) -> object:
    """A page as a case of the test; those that go on from another, and the others, each in one process of the test run."""
    group = next(iter(before(page)), page)
    return pytest.param(page, id=str(page.relative_to(ROOT)), marks=pytest.mark.xdist_group(f"page {group.stem}"))


@pytest.mark.parametrize("page", [one(page) for page in RUNNING])
@pytest.mark.timeout(300)
def test_a_page_does_what_it_says(page, tmp_path, left_by):
    folder = tmp_path / "shop"
    for earlier in before(page):
        shutil.copytree(left_by(earlier), folder)
    if any(page in before(other) for other in RUNNING):
        left_by(page)
        return
    folder.mkdir(exist_ok=True)

    follow(page, folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = {
        t.partition("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t and not t.startswith("#")
    }

    missing = sorted(t for t in targets if not (page.parent / t).exists() and not t.endswith(".png"))

    assert missing == [], f"{page.name} leads nowhere: {missing}"


def test_no_page_is_left_out_of_the_index():
    index = (DOCS / "README.md").read_text(encoding="utf-8")

    left_out = [
        str(p.relative_to(DOCS))
        for p in PAGES
        if p.is_relative_to(DOCS) and p.name != "README.md" and str(p.relative_to(DOCS)) not in index
    ]

    assert left_out == []
