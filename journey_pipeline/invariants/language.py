"""The language of rules: polars SQL over one row, read strictly. What may stand in `when`, `then`, `since` and the rest.

Words are refused here, before polars sees them. What a rule means for a row is verdicts' business, not this module's.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from journey_pipeline.invariants import catalogue, sources
from journey_pipeline.model import Rule
from journey_pipeline.registry import KINDS, NO_PERSON, TABLES, TIME

TABLES_OF_RULES = (
    "people", "buyer_journeys", *(k for k in KINDS if k not in NO_PERSON), "contact_keys", "products",
    "campaigns", "pulses", "reported_vs_actual", "source_health",
)  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CLOCK = _words("now current_timestamp current_date current_time localtime localtimestamp timestamp today")
_MANY_ROWS = _words(
    "sum count avg mean min max first last median mode stddev stdev std variance var unnest explode over row_number rank"
    " dense_rank lag lead array_agg string_agg listagg quantile quantile_cont quantile_disc corr covar"
)
_WORDS = _words(
    "and or not is null true false in between like ilike case when then else end interval date distinct from"
)
_FUNCTIONS = _WORDS | _words(
    "abs coalesce greatest least lower upper length trim ltrim rtrim round floor ceil sign nullif ifnull array_contains"
    " array_length starts_with ends_with strpos substr replace concat date_part"
)
_TYPES = _words("date text varchar string int integer bigint float double boolean")
_FORBIDDEN = _words(
    "select where group order having limit offset union intersect except with join using as exists any all some"
    " partition window insert update delete create drop alter table values set cast try_cast extract"
)

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z_]\w*)|(?P<comment>--|/\*)"
    r"|(?P<sign><=|>=|<>|!=|::|\|\||[-+*/%(),<>=])|(?P<other>.)",
    re.DOTALL,
)
_COMPARES = ("=", "<>", "!=", "<", ">", "<=", ">=")
_ARITHMETIC = ("+", "-", "*", "/", "%", "||", "::")
_NO_CLOCK = "compare days (paid_at::date >= date '2026-01-31') or as_of; the clock may not be read"
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_OURS_ONLY = ("refs", "causes", "evidence", "records", "core", "never_unknown", "every_source", "source")
_OWNER = re.compile(r"^([a-z0-9_]+|[^@\s]+@[^@\s]+)$")


class _Token(NamedTuple):
    is_a: str
    text: str

    @property
    def word(self) -> str:
        return self.text.lower() if self.is_a == "word" else ""


@cache
def condition(text: str) -> pl.Expr:
    """The polars expression that a checked text stands for; `as_of` is a column of the frames that it is asked of."""
    return pl.sql_expr(_sql(text))


@cache
def columns(text: str, table: str) -> tuple[str, ...]:
    """The columns of `table` that an expression names, in the order of first mention."""
    known = TABLES[table].schema
    return tuple(dict.fromkeys(t.text for t in _tokens(text) if t.is_a == "word" and t.text in known))


def placeholders(fix: str) -> tuple[str, ...]:
    """The names in braces of a `fix` sentence."""
    return tuple(_PLACEHOLDER.findall(fix))


def mistakes(rule: Rule, path: str, *, taken: Collection[str] | None = None) -> list[tuple[str, str]]:
    """Everything wrong with a rule, as (dotted path, sentence). `taken` are the names in use; None: the catalogue's."""
    found = list(_name_mistakes(rule, taken))
    if rule.on not in TABLES_OF_RULES:
        found.append(("on", f"no table {rule.on!r}; allowed: {', '.join(TABLES_OF_RULES)}"))
        return [(f"{path}.{part}", sentence) for part, sentence in found]
    if taken is None:
        found += [
            (name, "is the catalogue's own; leave it out") for name in _OURS_ONLY if name in rule.model_fields_set
        ]
    for part, text in (("when", rule.when), ("then", rule.then)):
        found += [(part, m) for m in _condition_mistakes(text, rule.on)]
    for reason, text in rule.unless.items():
        found += [(f"unless.{reason}", m) for m in _condition_mistakes(text, rule.on)]
    found += _clock_mistakes(rule)
    found += _needs_mistakes(rule)
    found += _tells_mistakes(rule)
    found += _risk_mistakes(rule)
    if not _OWNER.match(rule.owner):
        found.append(("owner", f"{rule.owner!r} is not an owner; allowed: a team such as sales, or an e-mail address"))
    known = {*TABLES[rule.on].schema, *KINDS}
    found += [
        ("fix", f"{{{name}}} is neither a column of {rule.on} nor a kind{_did_you_mean(name, known)}")
        for name in placeholders(rule.fix)
        if name not in known
    ]
    return [(f"{path}.{part}", sentence) for part, sentence in found]


def _name_mistakes(rule: Rule, taken: Collection[str] | None) -> Iterator[tuple[str, str]]:
    if taken is None and rule.name in catalogue.names():
        yield (
            "name",
            f"{rule.name!r} is in the catalogue; choose another, or change its deadline under deadlines",
        )
    elif taken is not None and rule.name in taken:
        yield "name", f"{rule.name!r} is taken; choose another"
    elif rule.on in TABLES and rule.name in {*TABLES[rule.on].schema, "as_of", "row"}:
        yield "name", f"{rule.name!r} is a column of {rule.on}; choose another"


def _clock_mistakes(rule: Rule) -> Iterator[tuple[str, str]]:
    if rule.since is None:
        if rule.within is not None:
            yield "within", "counts from nowhere without since; name a time column under since"
    elif TABLES[rule.on].schema.get(rule.since) != TIME:
        yield "since", f"{rule.since!r} is not a time column of {rule.on}"


def _needs_mistakes(rule: Rule) -> Iterator[tuple[str, str]]:
    for need in rule.needs or ():
        kind = need.strip("()")
        if kind not in KINDS:
            yield "needs", f"no kind {need!r}; allowed: {', '.join(KINDS)}"
        elif need != kind and (rule.on, kind) not in sources.REFERS:
            allowed = [f"({k})" for table, k in sources.REFERS if table == rule.on]
            yield (
                "needs",
                f"a row of {rule.on} does not tell whether it refers to {kind}; write it without brackets"
                + (f"; in brackets: {', '.join(allowed)}" if allowed else ""),
            )


def _tells_mistakes(rule: Rule) -> Iterator[tuple[str, str]]:
    for told in rule.tells:
        kind, _, column = told.partition(".")
        if kind not in KINDS:
            yield "tells", f"no kind {kind!r}; write kind.column, as contacts.owner; kinds: {', '.join(KINDS)}"
        elif column not in KINDS[kind].schema:
            yield "tells", f"no column {column!r} in {kind}{_did_you_mean(column, KINDS[kind].schema)}"


def _risk_mistakes(rule: Rule) -> Iterator[tuple[str, str]]:
    if rule.at_risk is None:
        if rule.at_risk_kind is not None:
            yield "at_risk_kind", "names the kind of an amount that is missing; give the amount under at_risk"
        return
    if rule.at_risk_kind is None:
        yield "at_risk", "has no at_risk_kind; allowed: paid, due, leak, expected"
    found = _expression_mistakes(rule.at_risk, rule.on)
    yield from (("at_risk", m) for m in found)
    if not found and not (dtype := _result(rule.at_risk, rule.on)).is_numeric():
        yield "at_risk", f"gives {_family_name(_family(dtype))} ({dtype}), must be an amount in minor units"


def _condition_mistakes(text: str, table: str) -> list[str]:
    found = _expression_mistakes(text, table)
    if not found and (dtype := _result(text, table)) != pl.Boolean:
        return [f"gives {_family_name(_family(dtype))} ({dtype}), must be true or false"]
    return found


def _expression_mistakes(text: str, table: str) -> list[str]:
    """What is wrong with one expression, from what is refused by name to what only polars can tell."""
    checks = (_refused, _unknown_columns, _null_compared, _unreadable, _misfits, _no_column, _fails_on_rows)
    return next((found for check in checks if (found := check(text, table))), [])


@cache
def _tokens(text: str) -> tuple[_Token, ...]:
    found = (_Token(m.lastgroup or "other", m.group()) for m in _TOKEN.finditer(text))
    return tuple(t for t in found if t.is_a != "space")


def _schema(table: str) -> pl.Schema:
    return pl.Schema({**TABLES[table].schema, "as_of": TIME})


def _sql(text: str) -> str:
    """The text as polars reads it: `interval` is a column unless a length of time follows."""
    return re.sub(r"('(?:[^']|'')*')|\binterval\b(?!\s*')", lambda m: m[1] or '"interval"', text)


def _refused(text: str, table: str) -> list[str]:
    """Words that polars must not see: signs, clocks, functions over many rows, statements."""
    tokens, schema = (_Token("", ""), *_tokens(text), _Token("", "")), _schema(table)
    only = f"is not allowed; only an expression over the columns of {table}"
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        word, is_called = token.word, after.text == "("
        if token.is_a in ("other", "comment"):
            return [f"'{token.text}' {only}"]
        if not word or (token.text in schema and not is_called):
            continue
        if word in _CLOCK:
            return [_NO_CLOCK]
        if word == "over" or (word in _MANY_ROWS and is_called):
            return [f"{'over (…)' if word == 'over' else f'{word}()'} looks at many rows; a rule may look at one"]
        if before.text == "::":
            if word not in _TYPES:
                return [f"'::{word}' is not allowed; allowed: {', '.join(sorted(_TYPES))}"]
        elif (
            word in _FORBIDDEN
            or (is_called and word not in _FUNCTIONS)
            or (word == "from" and before.word != "distinct")
        ):
            return [f"'{word}' {only}"]
    return []


def _unknown_columns(text: str, table: str) -> list[str]:
    tokens, schema = _tokens(text), _schema(table)
    unknown = [
        token.text
        for before, token in zip((_Token("", ""), *tokens), tokens, strict=False)
        if token.is_a == "word" and token.text not in schema and token.word not in _FUNCTIONS and before.text != "::"
    ]
    return [f"{table} has no column {name!r}{_did_you_mean(name, schema)}" for name in dict.fromkeys(unknown)]


def _did_you_mean(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for it

    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _null_compared(text: str, _table: str) -> list[str]:
    for this, following in pairwise(_tokens(text)):
        if this.text in ("=", "<>", "!=") and following.word == "null":
            return [f"'{this.text} null' is never true; write 'is {'' if this.text == '=' else 'not '}null'"]
    return []


def _unreadable(text: str, _table: str) -> list[str]:
    sentence = [f"can't read {text!r} as one SQL expression"]
    for this, following in pairwise(_tokens(text)):
        # Two operands side by side would pass as an alias.
        if (_is_operand(this) or this.text == ")") and _is_operand(following):
            return sentence
    try:
        condition(text)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return sentence
    return []


def _is_operand(token: _Token) -> bool:
    return token.is_a in ("text", "number") or (token.is_a == "word" and token.word not in _WORDS)


def _misfits(text: str, table: str) -> list[str]:
    """The first plain comparison of two things that can't be compared; polars lets some of them pass."""
    schema = _schema(table)
    for left, right in _comparisons(_tokens(text)):
        families = _token_family(left, schema), _token_family(right, schema)
        if None in families or families[0] == families[1] or set(families) == {"time", "day"}:
            continue
        if set(families) & {"time", "day"} and "text" in families:
            return [_NO_CLOCK]
        return [f"{left.text} is {_family_name(families[0])}, {right.text} is {_family_name(families[1])}"]
    return []


def _no_column(text: str, table: str) -> list[str]:
    return [] if columns(text, table) else [f"{text!r} names no column"]


def _comparisons(tokens: Sequence[_Token]) -> Iterator[tuple[_Token, _Token]]:
    """Pairs of plain operands (no part of a calculation) that stand on two sides of a comparison."""
    for i, token in enumerate(tokens):
        at = i - 2 if i and tokens[i - 1].word == "not" else i - 1
        if token.text in _COMPARES or token.word in ("like", "ilike"):
            others = [i + 1]
        elif token.word == "between":
            others = [i + 1, i + 3]
        elif token.word == "in":
            others = [j for j in range(i + 2, _closing(tokens, i)) if tokens[j].text != ","]
        else:
            continue
        if _is_plain(tokens, at):
            yield from ((tokens[at], tokens[j]) for j in others if _is_plain(tokens, j))


def _is_plain(tokens: Sequence[_Token], i: int) -> bool:
    if not 0 <= i < len(tokens):
        return False
    before, after = tokens[i - 1].text if i else "", tokens[i + 1].text if i + 1 < len(tokens) else ""
    return before not in _ARITHMETIC and after not in (*_ARITHMETIC, "(")


def _closing(tokens: Sequence[_Token], start: int) -> int:
    return next((j for j in range(start, len(tokens)) if tokens[j].text == ")"), len(tokens))


def _token_family(token: _Token, schema: Mapping[str, pl.DataType]) -> str | None:
    if token.is_a in ("text", "number"):
        return token.is_a
    if token.word in ("true", "false"):
        return "truth"
    return _family(schema[token.text]) if token.text in schema else None


def _family(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.List):
        return "list"
    names = {pl.String: "text", pl.Boolean: "truth", pl.Date: "day", pl.Datetime: "time", pl.Duration: "duration"}
    return names.get(dtype.base_type(), "other")


def _family_name(family: str | None) -> str:
    return {
        "number": "a number", "text": "text", "truth": "true or false", "day": "a day", "time": "a time",
        "list": "a list", "duration": "a length of time",
    }.get(family or "", "something else")  # fmt: skip


@cache
def _sample(table: str) -> pl.DataFrame:
    """Three rows of a table's schema: nothing known, and two of plain values."""
    plain = {"number": 1, "text": "a", "truth": True, "day": date(2026, 1, 31), "list": [],
             "time": datetime(2026, 1, 31, tzinfo=UTC)}  # fmt: skip
    schema = _schema(table)
    row = {name: plain[_family(dtype)] for name, dtype in schema.items()}
    return pl.DataFrame([dict.fromkeys(schema), row, row], schema=schema)


def _result(text: str, table: str) -> pl.DataType:
    return _sample(table).lazy().select(condition(text).alias("result")).collect_schema()["result"]


def _fails_on_rows(text: str, table: str) -> list[str]:
    try:
        for frame in (_sample(table).clear(), _sample(table)):
            if frame.select(condition(text).alias("result")).height != frame.height:
                return [f"{text!r} looks at many rows; a rule may look at one"]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        return [f"can't be computed over a row of {table}: {str(error).splitlines()[0]}"]
    return []
