"""CSV as rows of text cells, and answers as CSV. What the cells mean is for the signature to say (records_question)."""

import csv
import io
from collections.abc import Sequence

from noria.domain.model import Field
from noria.domain.prediction import Scalar
from noria.errors import RequestInvalid

_TRUTHS = {"true": True, "false": False, "1": True, "0": False}


def read_csv(body: bytes) -> list[list[str]]:
    """The lines of a body, blank ones left out. Raises RequestInvalid for what is not CSV in UTF-8, or for nothing."""
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True) if line]
    except (csv.Error, UnicodeDecodeError) as exc:
        raise RequestInvalid(
            "the request is not valid CSV", cause=str(exc), remedy="send comma-separated UTF-8"
        ) from exc
    if not lines:
        raise RequestInvalid("the CSV has no rows", remedy="send at least one row")
    return lines


def write_csv(values: dict[str, list[Scalar]], *, header: bool) -> bytes:
    """One line a row, numbers so that they are read back exactly.

    >>> write_csv({"p": [0.1, None], "label": ["a,b", "c"]}, header=True)
    b'p,label\\n0.1,"a,b"\\n,c\\n'
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(values)
    writer.writerows(zip(*values.values(), strict=True))
    return out.getvalue().encode()


def cell(text: str, field: Field, row: int) -> Scalar:
    """A cell as the column's type; an empty one is a missing value (and empty text where text may not be missing). Raises RequestInvalid."""
    if text == "" and (field.nullable or field.datatype != "BYTES"):
        return None
    if field.datatype == "BYTES":
        return text
    try:
        plain = text.strip()
        if field.datatype == "BOOL":
            return _TRUTHS[plain.lower()]
        if "_" in plain or not plain.isascii():
            raise ValueError(text)
        return int(plain) if field.datatype == "INT64" else float(plain)
    except (ValueError, KeyError) as exc:
        raise RequestInvalid(
            f"column {field.name!r} holds {text[:80]!r} in row {row}", cause=f"the model takes {field.datatype} there"
        ) from exc


def is_header(line: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a first line names the columns, in any order: then it is no row. The signature decides, not the protocol.

    >>> is_header(["b", "a"], ["a", "b"]), is_header(["1", "2"], ["a", "b"])
    (True, False)
    """
    return len(line) == len(names) and set(line) == set(names)
