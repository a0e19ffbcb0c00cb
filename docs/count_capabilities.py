"""Count docs/capabilities.md by state. `--write` puts the count into the page. A test holds the page to it."""

import re
import sys
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).with_name("capabilities.md")
ROW = re.compile(r"^\| C(\d+) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
PLACE = re.compile(r"<!-- count -->\n(.*?)<!-- /count -->", re.DOTALL)
STATES = ("works", "partly", "not yet")


def sentence(text: str) -> str:
    """How many capabilities stand in each state.

    >>> sentence("| C1 | fly | not yet | – | – |")
    '**0 work, 1 not yet: of 1.**'
    """
    states = Counter(match[3] for match in ROW.finditer(text))
    words = [f"{states['works']} work", *(f"{states[s]} {s}" for s in STATES[1:] if states[s])]
    return f"**{', '.join(words)}: of {states.total()}.**"


def written(text: str) -> str:
    """The page with its count."""
    return PLACE.sub(f"<!-- count -->\n{sentence(text)}\n<!-- /count -->", text)


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    if "--write" in sys.argv:
        PAGE.write_text(written(page), encoding="utf-8")
    print(sentence(page))
