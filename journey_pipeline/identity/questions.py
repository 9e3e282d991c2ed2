"""What is asked of two people, and what each answer is worth before any data has been seen. Not here: how it is learnt.

Two people of one family, or two of one name, are the mistakes to avoid. So what these naturally share (a phone, a surname,
an address made of the name) is fixed at little, and training can't make more of it.

The SQL is put together of what stands here alone: no value of the data, nor a name of a column of theirs, is ever in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from journey_pipeline.identity.pairs import EXTRA


@dataclass(frozen=True)
class Level:
    """One way in which two people compare.

    `when`: SQL of a pair. `same`: how often it is so of two records of one person who weren't tied by a certain key;
    `other`: of two people. `is_fixed`: neither is learnt, for they must hold of those who share the name, too.
    """

    says: str
    when: str
    same: float
    other: float
    is_fixed: bool = False
    rare: str | None = None
    """The column whose rarity counts."""


@dataclass(frozen=True)
class Question:
    """What is compared: its levels from the best to the worst; skipped where `unknown`."""

    name: str
    unknown: str
    levels: Sequence[Level]


_SAME_NAME = "list_has_any(names_l, names_r)"
_A_LETTER_APART = (
    "list_has_any(name_forms_l, name_forms_r) and not (coalesce(list_has_all(words_l, odd_words_r), true)"
    " and coalesce(list_has_all(words_r, odd_words_l), true))"
)
_PART = "(list_has_all(words_l, words_r) or list_has_all(words_r, words_l))"
_COULD_BE = f"({_PART} or coalesce({_SAME_NAME}, false) or coalesce({_A_LETTER_APART}, false))"
_UNNAMED = "(words_l is null or words_r is null)"
_SAME_LOCAL, _NEAR_MAIL = "list_has_any(own_locals_l, own_locals_r)", "list_has_any(email_forms_l, email_forms_r)"
_SAME_NUMBER = "coalesce(list_has_any(tags_l, tags_r), true)"

QUESTIONS = (
    Question("name", "words_l is null or words_r is null", (
        Level("same name", _SAME_NAME, 0.72, 1e-4, rare="name"),
        Level("name one letter apart", _A_LETTER_APART, 0.08, 1e-5),
        Level("part of the name", _PART, 0.06, 2e-3, rare="name"),
        Level("similar name", "list_has_any(words_l, words_r) and len(list_intersect(stems_l, stems_r)) > 1",
              0.04, 1e-3),
        Level("", "list_has_any(words_l, words_r)", 0.04, 2e-2),
        Level("", "ELSE", 0.06, 0.97),
    )),
    Question("address", "emails_l is null or emails_r is null", (
        Level("same address", "list_has_any(emails_l, emails_r)", 0.15, 1e-6),
        Level("same mailbox name elsewhere", f"{_SAME_LOCAL} and {_COULD_BE}", 0.15, 1e-7),
        Level("address one letter apart", f"{_NEAR_MAIL} and {_COULD_BE}", 0.2, 1e-7),
        # Without a name in common jsmith7@ and psmith7@ are two, and so is mike77@ at two hosts.
        Level("similar address", f"coalesce({_SAME_LOCAL}, false) or coalesce({_NEAR_MAIL}, false)", 0.05, 1e-4,
              is_fixed=True),
        # A company gives each of its people one mailbox: two are two people, whatever their names.
        Level("", "list_has_any(offices_l, offices_r)", 0.02, 0.5, is_fixed=True),
        # Whoever shares a name often shares what is made of it: the name has been counted.
        Level("", f"list_has_any(bare_locals_l, bare_locals_r) and not {_SAME_NUMBER}", 0.03, 0.1, is_fixed=True),
        Level("same name in both addresses", "list_has_any(bare_locals_l, bare_locals_r)", 0.2, 0.1, is_fixed=True),
        Level("same number in both addresses", "list_has_any(tags_l, tags_r)", 0.05, 1e-2),
        Level("", "ELSE", 0.15, 0.97),
    )),
    Question("phone", "phones_l is null or phones_r is null", (
        # A family has one phone, and a father and a son may have one name.
        Level("same phone", f"list_has_any(phones_l, phones_r) and ({_UNNAMED} or {_COULD_BE})",
              0.4, 1e-4, is_fixed=True),
        Level("", "list_has_any(phones_l, phones_r) and list_has_any(words_l, words_r)", 0.01, 0.05, is_fixed=True),
        Level("same phone", "list_has_any(phones_l, phones_r)", 0.02, 1e-3, is_fixed=True),
        Level("phone one digit apart", "list_has_any(phone_forms_l, phone_forms_r)", 0.05, 1e-4),
        Level("", "ELSE", 0.52, 0.97),
    )),
    Question("work", "place_l is null or place_r is null", (
        Level("same company", "list_has_any(companies_l, companies_r)", 0.4, 1e-2, rare="place"),
        Level("same company or mail domain", "place_l = place_r", 0.4, 1e-2, rare="place"),
        Level("", "ELSE", 0.2, 0.98),
    )),
)  # fmt: skip


_CLOSE = "len(given_l) > 3 and jaro_winkler_similarity(given_l, given_r) > 0.88"
_FURTHER = (
    Level("same", "given_l = given_r", 0.7, 1e-3, rare="given"),
    Level("similar", _CLOSE + " and damerau_levenshtein(given_l, given_r) <= 1", 0.12, 1e-3),
    Level("", _CLOSE, 0.05, 1e-2),
    Level("", "ELSE", 0.13, 0.97),
)


def of_columns(columns: Sequence[str]) -> Sequence[Question]:
    """Questions about columns that only some data has; `given` stands for the column."""
    return [
        Question(
            column,
            f"{column}_l is null or {column}_r is null",
            [
                replace(level, says=level.says and f"{level.says} {name}", when=level.when.replace("given", column),
                        rare=level.rare and column)
                for level in _FURTHER
            ],
        )
        for n, name in enumerate(columns)
        for column in [f"{EXTRA}{n}"]
    ]  # fmt: skip
