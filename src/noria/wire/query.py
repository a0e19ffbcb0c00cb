"""The one search grammar: text to conditions and orders, and back. For people: docs/reference/query.md.

Words are query_words.py, fields and their types query_fields.py. Called by every face that takes a search: SDK, commands, REST, MLflow's protocol.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NoReturn, assert_never

from noria.domain.query import And, Comparison, Condition, Field, Not, Operator, Or, Order
from noria.errors import QueryInvalid
from noria.wire.query_fields import (
    MAX_DEPTH,
    OTHER_NAMES,
    SCOPE_NAMES,
    FieldType,
    Kind,
    Reason,
    check_condition,
    fault,
    type_of,
)
from noria.wire.query_words import Word, words_of

KEYWORDS = frozenset(("and", "or", "not", "in", "like", "ilike", "is", "null", "between", "on", "true", "false"))
_SIGNS: dict[str, Operator] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}


def parse_filter(text: str, *, kind: Kind = "runs") -> Condition | None:
    """What a text asks for; None if it asks for nothing. Raises QueryInvalid with the place.

    >>> parse_filter("metrics.auc > 0.8 AND NOT tags.team = 'x'")
    And(terms=(Comparison(field=Field(scope='metric', key='auc', dataset='', dataset_digest=''), operator='>', value=0.8), \
Not(term=Comparison(field=Field(scope='tag', key='team', dataset='', dataset_digest=''), operator='=', value='x'))))
    >>> parse_filter("metrics.auc > high")
    Traceback (most recent call last):
    noria.errors.QueryInvalid: expected a number at character 15 of the query
      cause:  found 'high'
      remedy: see docs/reference/query.md
    """
    reader = _Reader(text, kind)
    while reader.keyword("and"):  # MLflow does not mind an AND too many, and clients put filters together with it
        pass
    if reader.ahead().kind == "end":
        return None
    condition = reader.alternatives()
    if reader.ahead().kind != "end":
        reader.refuse("AND, OR or the end")
    check_condition(condition, kind)
    return condition


def parse_order(clauses: str | Sequence[str], *, kind: Kind = "runs") -> tuple[Order, ...]:
    """What to sort by: 'metrics.auc desc', 'start_time', several of them in a sequence or with commas between. Raises QueryInvalid.

    >>> parse_order("metrics.`my loss`, started_at DESC")
    (Order(field=Field(scope='metric', key='my loss', dataset='', dataset_digest=''), descending=False), \
Order(field=Field(scope='attribute', key='started_at', dataset='', dataset_digest=''), descending=True))
    """
    orders: list[Order] = []
    for clause in (clauses,) if isinstance(clauses, str) else clauses:
        reader = _Reader(clause, kind)
        if reader.ahead().kind == "end" and isinstance(clauses, str):
            return ()
        orders.append(reader.order())
        while reader.sign(","):
            orders.append(reader.order())
        if reader.ahead().kind != "end":
            reader.refuse("ASC, DESC, a comma or the end")
    return tuple(orders)


class _Reader:
    """A walk over the words, one ahead."""

    def __init__(self, text: str, kind: Kind) -> None:
        self._text = text
        self._kind = kind
        self._words = words_of(text)
        self._at = 0
        self._depth = 0

    def ahead(self) -> Word:
        """The word ahead."""
        return self._words[self._at]

    def take(self) -> Word:
        """The word ahead, passed."""
        word = self.ahead()
        self._at += word.kind != "end"
        return word

    def keyword(self, *wanted: str) -> str:
        """Pass one of these keywords if it is ahead, and say which; '' otherwise."""
        word = self.ahead()
        if word.kind == "name" and word.text.lower() in wanted:
            return self.take().text.lower()
        return ""

    def sign(self, wanted: str) -> bool:
        """Pass a sign if it is ahead."""
        if self.ahead().kind == "sign" and self.ahead().text == wanted:
            self.take()
            return True
        return False

    def refuse(self, expected: str, *, reason: Reason = "syntax") -> NoReturn:
        """Raise QueryInvalid about the word ahead."""
        word = self.ahead()
        found = "it ends there" if word.kind == "end" else f"found {word.text[:80]!r}"
        raise fault(
            f"expected {expected} at character {word.place + 1} of the query",
            reason=reason,
            token=word.text,
            cause=found,
        )

    def alternatives(self) -> Condition:
        """and-terms with OR between."""
        terms = [self._all_of()]
        while self.keyword("or"):
            terms.append(self._all_of())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _all_of(self) -> Condition:
        """Terms with AND between; nothing between two comparisons means it as well, as in MLflow."""
        terms = [self._term()]
        while self.keyword("and") or self._is_name(self.ahead()):
            while self.keyword("and"):
                pass
            if self.ahead().kind == "end":
                break
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _is_name(self, word: Word) -> bool:
        return word.kind == "quoted" or (word.kind == "name" and word.text.lower() not in KEYWORDS)

    def _term(self) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise fault("the query is nested too deep", reason="size", cause=f"at most {MAX_DEPTH} levels")
        if self.keyword("not"):
            condition: Condition = Not(self._term())
        elif self.sign("("):
            condition = self.alternatives()
            if not self.sign(")"):
                self.refuse("AND, OR or ')'")
        elif self.keyword("true"):
            condition = And(())
        elif self.keyword("false"):
            condition = Or(())
        else:
            condition = self._comparison()
        self._depth -= 1
        return condition

    def order(self) -> Order:
        """A field and which way."""
        field = self.field()
        way = self.keyword("asc", "desc")
        return Order(field=field, descending=way == "desc")

    def field(self) -> Field:
        """A scope and a key, or the bare name of an attribute."""
        first = self.ahead()
        if not self._is_name(first):
            self.refuse("a field such as metrics.auc")
        scope, dot, key = self._scope_and_key()
        if not dot:
            scope, key = "attribute", scope
        known = SCOPE_NAMES.get(scope)
        if known is None:
            raise fault(
                f"'{scope}' at character {first.place + 1} of the query is nothing that can be asked for",
                reason="scope",
                token=scope,
                cause=f"known: {', '.join(SCOPE_NAMES)}, and the names of attributes",
            )
        if known == "attribute":
            key = OTHER_NAMES[self._kind].get(key, key)
        dataset, digest = self._dataset() if self.keyword("on") else ("", "")
        field = Field(scope=known, key=key, dataset=dataset, dataset_digest=digest)
        try:
            type_of(field, self._kind)
        except QueryInvalid as error:
            error.problem += f" (character {first.place + 1} of the query)"
            raise
        return field

    def _scope_and_key(self) -> tuple[str, str, str]:
        """The pieces of a name before and after its first dot; either may be quoted."""
        first = self.take()
        if first.kind == "name":
            scope, dot, key = first.text.partition(".")
            if dot and (not key or key.endswith(".")) and self.ahead().kind == "quoted" and self.ahead().glued:
                key += self.take().value
        else:
            scope, dot, key = first.value, "", ""
            if self.ahead().glued and self.sign("."):
                dot = "."
                if self.ahead().kind in ("name", "quoted", "number") and self.ahead().glued:
                    key = self.take().value
        if dot and not key:
            self.refuse("a name after the dot")
        following = self._words[self._at : self._at + 2]
        if dot and self._is_name(following[0]) and following[-1].text.lower() == "is":
            key += f" {self.take().text}"  # MLflow takes `tags.my team IS NULL`
        return scope, dot, key

    def _dataset(self) -> tuple[str, str]:
        if not self.sign("("):
            return self._quoted("the dataset's name in quotes"), ""
        name = self._quoted("the dataset's name in quotes")
        if not self.sign(","):
            self.refuse("a comma")
        digest = self._quoted("the dataset's digest in quotes")
        if not self.sign(")"):
            self.refuse("')'")
        return name, digest

    def _quoted(self, expected: str) -> str:
        if self.ahead().kind != "quoted":
            self.refuse(expected)
        return self.take().value

    def _comparison(self) -> Condition:
        field = self.field()
        if self.ahead().kind == "sign" and self.ahead().text in _SIGNS:
            operator = _SIGNS[self.take().text]
            return Comparison(field=field, operator=operator, value=self._value(field))
        if self.keyword("is"):
            operator = "is not null" if self.keyword("not") else "is null"
            if not self.keyword("null"):
                self.refuse("NULL")
            return Comparison(field=field, operator=operator)
        negated = bool(self.keyword("not"))
        match self.keyword("in", "like", "ilike", "between"):
            case "in":
                return Comparison(field=field, operator="not in" if negated else "in", value=self._list(field))
            case "between":
                return self._between(field, negated=negated)
            case "" as nothing:
                expected = "IN, LIKE, ILIKE or BETWEEN" if negated else "an operator such as ="
                self.refuse(expected + nothing, reason="operator")
            case pattern:
                alike = Comparison(
                    field=field, operator="like" if pattern == "like" else "ilike", value=self._value(field)
                )
                return And((Comparison(field=field, operator="is not null"), Not(alike))) if negated else alike

    def _between(self, field: Field, *, negated: bool) -> Condition:
        low = self._value(field)
        if not self.keyword("and"):
            self.refuse("AND")
        high = self._value(field)
        if negated:
            return Or(
                (
                    Comparison(field=field, operator="<", value=low),
                    Comparison(field=field, operator=">", value=high),
                )
            )
        return And(
            (Comparison(field=field, operator=">=", value=low), Comparison(field=field, operator="<=", value=high))
        )

    def _list(self, field: Field) -> tuple[str | float, ...]:
        if not self.sign("("):
            self.refuse("'('", reason="list")
        values: list[str | float] = []
        while not self.sign(")"):
            if self.ahead().kind not in ("quoted", "number"):
                self.refuse("a value of the list" if values else "at least one value in the list", reason="list")
            values.append(self._value(field))
            if not self.sign(",") and self.ahead().text != ")":
                self.refuse("a comma or ')'", reason="list")
        if not values:
            raise fault("the list of values is empty", reason="list", token="()")
        return tuple(values)

    def _value(self, field: Field) -> str | float:
        """A value of the field's type."""
        wanted, word = type_of(field, self._kind), self.ahead()
        if word.kind == "number" and wanted in ("number", "time", "param"):
            return float(self.take().text)
        if word.kind == "quoted" and wanted in ("text", "serial", "param", "all"):
            value = self.take().value
            # MLflow writes RUNNING where the field is 'running'.
            return value.lower() if (field.scope, field.key) == ("attribute", "status") else value
        unquoted = word.kind == "number" or (word.kind == "name" and self._is_name(word))
        if unquoted and wanted in ("text", "serial", "param") and self._kind == "trained":
            return self.take().text  # as MLflow takes it, for these alone
        if word.kind == "quoted" and field.scope == "attribute":
            number = _milliseconds(word.value) if wanted == "time" else _number(word.value)
            if number is not None:
                self.take()
                return number
        self.refuse(_EXPECTED[wanted], reason="value")


_EXPECTED: dict[FieldType, str] = {
    "text": "a text in quotes",
    "serial": "a text in quotes",
    "all": "a text in quotes",
    "number": "a number",
    "time": "a time (ms since 1970, or '2026-11-21' or '2026-11-21T08:00:00Z')",
    "param": "a text in quotes or a number",
}


def _number(text: str) -> float | None:
    words = words_of(text)
    return float(text) if len(words) == 2 and words[0].kind == "number" else None


def _milliseconds(text: str) -> float | None:
    """A day or a moment in ISO 8601 as ms since 1970, in UTC if it names no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _number(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000


def text_of(condition: Condition | None) -> str:
    """The text that parses to this condition (And and Or of one term come back as that term).

    >>> text_of(parse_filter("params.depth>=6 and (attr.status = 'FINISHED' OR tags.`my team` IN ('a','b'))"))
    "params.depth >= 6 and (status = 'finished' or tags.`my team` in ('a', 'b'))"
    """
    match condition:
        case None:
            return ""
        case Comparison():
            return _comparison_text(condition)
        case Not():
            return f"not {_inner(condition.term)}"
        case And() | Or():
            word: Literal["and", "or"] = "and" if isinstance(condition, And) else "or"
            if not condition.terms:
                return "true" if word == "and" else "false"
            if len(condition.terms) == 1:
                return text_of(condition.terms[0])
            return f" {word} ".join(_inner(term) for term in condition.terms)
        case _:
            assert_never(condition)


def text_of_order(orders: Sequence[Order]) -> str:
    """The text that `parse_order` reads."""
    return ", ".join(field_text(order.field) + (" desc" if order.descending else "") for order in orders)


def field_text(field: Field) -> str:
    """A field as a query names it."""
    key = field.key if _is_plain(field.key) else _ticked(field.key)
    if field.scope == "attribute":
        return f"attributes.{key}" if key.lower() in KEYWORDS else key
    on = ""
    if field.dataset_digest:
        on = f" on ({_literal(field.dataset)}, {_literal(field.dataset_digest)})"
    elif field.dataset:
        on = f" on {_literal(field.dataset)}"
    return f"{field.scope}s.{key}{on}"


def _inner(term: Condition) -> str:
    while isinstance(term, And | Or) and len(term.terms) == 1:
        term = term.terms[0]
    text = text_of(term)
    return f"({text})" if isinstance(term, And | Or) and term.terms else text


def _comparison_text(comparison: Comparison) -> str:
    left, value = field_text(comparison.field), comparison.value
    if value is None:
        return f"{left} {comparison.operator}"
    if isinstance(value, tuple):
        return f"{left} {comparison.operator} ({', '.join(_literal(one) for one in value)})"
    return f"{left} {comparison.operator} {_literal(value)}"


def _literal(value: str | float) -> str:
    if not isinstance(value, str):
        number = float(value)
        whole = abs(number) < 1e15 and number.is_integer() and repr(number) != "-0.0"
        return str(int(number)) if whole else repr(number)
    for quote in "'\"":
        if quote not in value and not value.endswith("\\"):
            return f"{quote}{value}{quote}"
    return _ticked(value)


def _ticked(text: str) -> str:
    return "`" + text.replace("`", "``") + "`"


def _is_plain(key: str) -> bool:
    letters = key.replace("_", "a").replace(".", "a")
    return letters.isascii() and letters.isalnum() and not key[0].isdigit() and not key.endswith(".")
