"""Run the blocks of one page in order, as a reader would: python in one session, commands in between, all in the current folder.

`python session.py blocks.json`, a list of {"kind", "text", "where"}. Ends with 1 and the place of the first block that does not do what it says.
"""

import contextlib
import io
import json
import linecache
import re
import shlex
import shutil
import subprocess
import sys
import traceback
import types
from pathlib import Path

PYTHON = shlex.quote(sys.executable)
PROGRAMS = {"noria": f"{PYTHON} -m noria.cli.main", "python": PYTHON}
ANYTHING = "…"


def fits(expected: str, said: str) -> bool:
    """Whether the words are those that the page shows; … stands for anything, runs of blanks are one blank."""
    wanted = ".*?".join(re.escape(" ".join(part.split())) for part in expected.split(ANYTHING))
    return re.search(wanted.replace(r"\ ", " "), " ".join(said.split()), re.DOTALL) is not None


def run_python(text: str, where: str, session: types.ModuleType) -> str:
    linecache.cache[where] = (len(text), None, text.splitlines(keepends=True), where)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(text, where, "exec"), vars(session))
    return said.getvalue()


def run_command(line: str) -> str:
    program, _, rest = line.partition(" ")
    if program not in PROGRAMS and not shutil.which(program):
        print(f"left out, {program!r} is not installed: {line}")
        return ANYTHING
    done = subprocess.run(
        f"{PROGRAMS.get(program, program)} {rest}", shell=True, check=False, capture_output=True, text=True, timeout=90
    )
    if done.returncode:
        raise AssertionError(f"$ {line}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def run_console(text: str) -> None:
    """Each `$ command`, and the lines below it as what it says."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, expected = part.replace("\\\n", " ").partition("\n")
        said = run_command(line)
        if expected.strip() and said != ANYTHING and not fits(expected, said):
            raise AssertionError(f"$ {line}\nthe page shows:\n{expected}\nit said:\n{said}")


def main(blocks: list[dict[str, str]]) -> int:
    session = types.ModuleType("__main__")
    sys.modules["__main__"] = session
    sys.path.insert(0, str(Path.cwd()))
    said = ""
    for block in blocks:
        kind, text, where = block["kind"], block["text"], block["where"]
        try:
            if kind == "file":
                name, _, content = text.partition("\n")
                Path(name.removeprefix("# file:").strip()).write_text(content, encoding="utf-8")
            elif kind == "python":
                said = run_python(text, where, session)
            elif kind == "console":
                run_console(text)
            elif kind == "output" and not fits(text, said):
                raise AssertionError(f"the page shows:\n{text}\nit said:\n{said}")
        except Exception:  # noqa: BLE001 - whatever a page's code raises is this page's fault, and is told
            traceback.print_exc()
            print(f"{where} does not do what it says", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
