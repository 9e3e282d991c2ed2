"""How likely two people are one: the likenesses that must be seen, those that must not mislead, and the same answer twice."""

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from journey_pipeline.identity import normalise
from journey_pipeline.identity.pairs import CROWD, pairs, traits
from journey_pipeline.identity.probable import score

FEBRL = Path(__file__).parents[3] / "shared" / "data" / "identity" / "febrl3.csv"
LINK, SUGGEST = 0.95, 0.3

FIRST = (
    "ada", "bruno", "carla", "dmitri", "elena", "farid", "greta", "hugo", "ingrid", "jonas", "karim", "lucia", "mehmet",
    "nadia", "oscar", "priya", "quentin", "rosa", "stefan", "tamara",
)  # fmt: skip
LAST = (
    "abbott", "bianchi", "castro", "dubois", "ericsson", "fischer", "garcia", "hoffmann", "ivanov", "jensen", "kowalski",
    "lopez", "moreau", "nakamura", "okafor", "petrov", "quiroga", "rossi", "schmidt", "tanaka",
)  # fmt: skip
COMPANIES = ("acme", "birch", "coral", "delta", "ember", "fern", "granite", "harbor")


def person(
    name: str = "", email: str = "", phone: str = "", company: str = "", **more: str | None
) -> dict[str, Sequence[str] | str | None]:
    told = {"names": name, "emails": email, "phones": phone, "companies": company}
    return {**{c: [v] if v else [] for c, v in told.items()}, **more}


def town() -> list[dict[str, Sequence[str] | str | None]]:
    """400 people of 400 names, unlike each other: some with a phone, some with a company."""
    return [
        person(
            " ".join(sorted((first, last))),
            f"{first}.{last}{10 + (n * 37) % 90}@{('gmail.com', 'mail.example', 'posteo.example')[n % 3]}",
            f"+1415{5550000 + n * 137}" if n % 2 else "",
            COMPANIES[n % 8] if n % 5 == 0 else "",
        )
        for n, (first, last) in enumerate((f, s) for f in FIRST for s in LAST)
    ]


def candidates(*added: dict[str, Sequence[str] | str | None]) -> pl.DataFrame:
    """Who is asked about comes first, as persons 0, 1 and so on."""
    lists = dict.fromkeys(("names", "emails", "phones", "companies"), pl.List(pl.String))
    return pl.DataFrame([*added, *town()], schema_overrides=lists).with_row_index("person")


def asked(*added: dict[str, Sequence[str] | str | None]) -> tuple[float, str]:
    """How likely person 0 and 1 are one, and why."""
    found = score(candidates(*added)).filter(pl.col("left") == 0, pl.col("right") == 1)
    return (found["probability"][0], found["because"][0]) if found.height else (0.0, "")


@pytest.mark.parametrize(
    ("one", "other", "because"),
    [
        (
            person("lund zelda", "zelda.lund77@gmail.com"),
            person("lund zelda", "zelda.lnud77@gmail.com"),
            "same name, address one letter apart",
        ),
        (
            person("lund zelda", "zelda.lund77@gmail.com"),
            person("lund zelda", "zelda.lund77@gmial.com"),
            "same name, same mailbox name elsewhere",
        ),
        (
            person("lund zelda", "zelda.lund77@gmail.com", "+14155559999"),
            person("lund zeldda", "zl@birch.example", "+14155559999"),
            "name one letter apart, same phone",
        ),
    ],
)
def test_who_is_surely_one(one: dict[str, str], other: dict[str, str], because: str) -> None:
    probability, told = asked(one, other)  # type: ignore[arg-type]  # as made by `person`
    assert probability >= LINK
    assert told == because


def test_a_private_and_a_work_address_are_suggested_where_the_company_is_known() -> None:
    probability, because = asked(
        person("lund zelda", "zelda.lund77@gmail.com", company="willowworks"),
        person("lund zelda", "zelda.lund@willowworks.example"),
    )
    assert probability >= SUGGEST
    assert because == "same name, same name in both addresses, same company or mail domain"


def test_half_a_name_is_read_in_the_address() -> None:
    told = traits(candidates(person("lund", "zelda501@aol.com"), person("lund", "lundzelda@aol.com")))
    assert told["names"].head(2).to_list() == [["lund zelda"], ["lund zelda"]]
    assert told["name"].head(2).to_list() == ["lund zelda", "lund zelda"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # a household: one phone, one surname
        (person("lund zelda", "zelda.lund77@gmail.com", "+14155559999"),
         person("lund zeno", "zeno.lund@gmail.com", "+14155559999")),
        # two of one name
        (person("lund zelda", "zelda.lund77@gmail.com", "+14155559999"),
         person("lund zelda", "zelda.lund12@mail.example", "+14155551111")),
        # two of one name in one company: it gives each a mailbox
        (person("lund zelda", "zelda.lund@acme.example"), person("lund zelda", "zelda.lund2@acme.example")),
        # the next number is the next person
        (person("", "zelda.lund77@gmail.com"), person("", "zelda.lund78@gmail.com")),
        # a letter makes another person where no name is told
        (person("", "jsmith77@gmail.com"), person("", "psmith77@gmail.com")),
        # one nickname at two hosts
        (person("mike zwart", "mike77@gmail.com"), person("mike wolters", "mike77@mail.example")),
        # two common names that are a letter apart
        (person("garcia karim", "karim.garcia1@gmail.com", company="acme"),
         person("garcia farid", "farid.garcia1@gmail.com", company="acme")),
        # colleagues behind one switchboard
        (person("lund zelda", phone="+14155559999", company="acme"),
         person("meyer wim", phone="+14155559999", company="acme")),
    ],
)  # fmt: skip
def test_who_only_looks_alike_is_not_even_suggested(one: dict[str, str], other: dict[str, str]) -> None:
    probability, because = asked(one, other)  # type: ignore[arg-type]  # as made by `person`
    assert probability < SUGGEST, because


def test_two_common_names_a_letter_apart_are_two_and_a_typo_is_one() -> None:
    crowd = [person(f"{first} {last}") for first in ("gary", "mary") for last in ("ruiz", "shaw", "todd", "vogel")]
    _, because = asked(person("gary zwart", company="willow"), person("mary zwart", company="willow"), *crowd)
    assert "one letter apart" not in because
    _, because = asked(person("gary zwart", company="willow"), person("gaary zwart", company="willow"), *crowd)
    assert because == "name one letter apart, same company"


def test_further_columns_are_compared_as_well() -> None:
    days = [f"19{40 + n % 50}-0{1 + n % 9}-{10 + n % 19}" for n in range(400)]
    frame = candidates(person("lund zelda", born="1971-06-24"), person("lnud zelda", born="1971-06-24"))
    frame = frame.with_columns(born=pl.Series(["1971-06-24", "1971-06-24", *days]))
    found = score(frame).filter(pl.col("left") == 0, pl.col("right") == 1)
    assert found["because"].to_list() == ["name one letter apart, same born"]
    assert found["probability"][0] >= LINK


def test_the_same_people_in_any_order_and_process_give_the_same_bytes() -> None:
    twins = [person("lund zelda", "zelda.lund77@gmail.com"), person("lund zelda", "zelda.lnud77@gmail.com")]
    frame = candidates(*twins)
    told = score(frame)
    rows = list(range(frame.height))
    random.Random(4).shuffle(rows)  # noqa: S311 - an order, no secret
    assert_frame_equal(score(frame[rows]), told, check_exact=True)
    script = (
        "from journey_pipeline_tests.identity.test_probable import *;"
        "print(score(candidates(person('lund zelda', 'zelda.lund77@gmail.com'),"
        "person('lund zelda', 'zelda.lnud77@gmail.com'))).write_csv(), end='')"
    )
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (again.stdout, again.stderr) == (told.write_csv(), "")
    assert told.schema == {"left": pl.UInt32, "right": pl.UInt32, "probability": pl.Float64, "because": pl.String}
    assert (told["left"] < told["right"]).all()
    assert told.select("left", "right").equals(told.select("left", "right").sort("left", "right"))


def test_too_few_people_are_not_scored_and_cost_nothing() -> None:
    script = (
        "import sys; from journey_pipeline_tests.identity.test_probable import *;"
        "print(score(candidates().head(150)).height, 'splink' in sys.modules, 'duckdb' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.split()[:2] == ["0", "False"]


def test_people_known_by_an_id_alone_change_nothing() -> None:
    twins = [person("lund zelda", "zelda.lund77@gmail.com"), person("lund zelda", "zelda.lnud77@gmail.com")]
    nobody = candidates(*twins, *town(), *[person() for _ in range(500)])
    assert_frame_equal(score(nobody.filter(pl.col("names").list.len() > 0)), score(nobody), check_exact=True)


def test_what_many_share_pairs_nobody() -> None:
    many = [person("lund zelda", f"zz{n}q{n}@host{n}.example") for n in range(CROWD + 1)]
    few = [person("wim zwart", f"ww{n}q{n}@place{n}.example") for n in range(3)]
    frame = candidates(*many, *few)
    compared = pairs(traits(frame))
    names = frame["names"].list.join("")
    pairs_of = {name: sum(names[a] == names[b] == name for a, b in compared.iter_rows()) for name in set(names)}
    assert (pairs_of["lund zelda"], pairs_of["wim zwart"]) == (0, 3)


def test_a_labelled_set_is_told_apart() -> None:
    if not FEBRL.is_file():
        pytest.skip("the shared data is not here")
    rows = pl.read_csv(FEBRL, infer_schema=False)
    rows = rows.rename({c: c.strip() for c in rows.columns}).with_columns(pl.all().str.strip_chars())
    rows = rows.with_columns(who=pl.col("rec_id").str.extract(r"rec-(\d+)-")).filter(pl.col("who").cast(pl.Int64) < 300)
    full = pl.concat_str("given_name", "surname", separator=" ")
    frame = (
        rows.select(
            "who", pl.concat_list(normalise.name(full)).list.drop_nulls().alias("names"), "street_number", "suburb",
            "postcode", "date_of_birth", "soc_sec_id",
            *(pl.lit([], pl.List(pl.String)).alias(c) for c in ("emails", "phones", "companies")),
        )
        .with_row_index("person")
    )  # fmt: skip
    links = score(frame.drop("who")).filter(pl.col("probability") >= LINK)
    who = frame["who"].to_list()
    right = [who[a] == who[b] for a, b in links.select("left", "right").iter_rows()]
    sizes = frame.group_by("who").len()["len"].cast(pl.Int64)
    assert all(right)
    assert sum(right) / int((sizes * (sizes - 1) // 2).sum()) > 0.98
