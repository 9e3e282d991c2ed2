"""Who the people of the sandbox are: names, addresses, phones, and how each platform has them written down.

Domains end in `.example`, phones stand in the 555 exchanges. Gmail is the one real domain: dots and tags mean nothing there.
"""

import polars as pl
from polars import selectors

from journey_pipeline.expressions import spelled

FIRST = (
    "Ada", "Amir", "Ana", "Anke", "Arjun", "Beatriz", "Ben", "Carla", "Chen", "Chloe", "Daniel", "Dina", "Elif", "Emil",
    "Emma", "Erik", "Fatima", "Felix", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jada", "James", "Jan", "Julia", "Kai",
    "Karim", "Lara", "Leo", "Lina", "Lucas", "Maria", "Marta", "Maya", "Mei", "Mia", "Miguel", "Nadia", "Nils", "Noah",
    "Nora", "Olga", "Omar", "Oscar", "Paula", "Pedro", "Priya", "Rosa", "Sam", "Sara", "Sofia", "Tariq", "Tessa", "Tom",
    "Uma", "Vera", "Viktor", "Wanda", "Will", "Yara", "Yusuf", "Zoë",
)  # fmt: skip
LAST = (
    "Abbott", "Adeyemi", "Ahmed", "Alvarez", "Andersen", "Baker", "Bauer", "Becker", "Bianchi", "Brown", "Carter",
    "Castro", "Chen", "Cohen", "Costa", "Davies", "Diaz", "Dubois", "Edwards", "Evans", "Fischer", "Flores", "Fontaine",
    "Garcia", "Gomez", "Green", "Gupta", "Haddad", "Hansen", "Hill", "Hoffmann", "Hughes", "Ito", "Ivanov", "Jackson",
    "Jensen", "Jones", "Kaya", "Keller", "Khan", "Kim", "Klein", "Kowalski", "Larsen", "Lee", "Lewis", "Lopez", "Mäkinen",
    "Martin", "Meyer", "Mori", "Müller", "Nakamura", "Nguyen", "Novak", "Nowak", "Okafor", "Olsen", "Ortiz", "Park",
    "Patel", "Perez", "Peters", "Rao", "Reyes", "Ricci", "Rivera", "Rossi", "Ruiz", "Santos", "Sato", "Schmidt", "Silva",
    "Singh", "Smith", "Suzuki", "Tanaka", "Taylor", "Torres", "Tran", "Turner", "Vargas", "Walker", "Weber", "White",
    "Wong", "Wright", "Yilmaz", "Young", "Zhang",
)  # fmt: skip
_ASCII = {"ë": "e", "ä": "a", "ü": "u"}
PRIVATE = ("gmail.com", "gmail.com", "gmail.com", "mail.example", "posteo.example", "inbox.example", "home.example")
EMPLOYERS = (
    "acme", "amber", "arrow", "birch", "blue", "bright", "canal", "cedar", "clear", "coral", "delta", "ember", "fern",
    "globe", "granite", "harbor", "hazel", "indigo", "iron", "juniper", "lumen", "maple", "nova", "onyx", "pine", "quartz",
    "river", "stone", "umbra", "willow",
), ("bank", "craft", "desk", "field", "forge", "labs", "line", "press", "soft", "works")  # fmt: skip
BRANCHES = tuple("abcdefghijklmnopqrstuvwxyz")
AREAS = (
    "201", "202", "203", "205", "206", "207", "208", "209", "210", "212", "213", "214", "215", "216", "217", "218", "219",
    "224", "225", "228", "229", "231", "234", "239", "240", "248", "251", "252", "253", "254", "256", "260", "262", "267",
    "269", "270", "276", "281", "301", "302", "303", "304", "305", "307", "308", "309", "310", "312", "313", "314", "315",
    "316", "317", "318", "319", "320", "321", "323", "325", "330", "331", "334", "336", "337", "339", "347", "351", "352",
    "360", "361", "386", "401", "402", "404", "405", "406", "407", "408", "409", "410", "412", "413", "414", "415", "417",
    "419", "423", "424", "425", "432", "434", "435", "440", "443", "469", "478", "479", "480", "484", "501",
)  # fmt: skip


def known_as(plan: pl.DataFrame) -> pl.DataFrame:
    """The plan with what each platform calls its people: `<platform>_email`, `_phone`, `_name`; null where it doesn't know."""
    person, mode = pl.col("person"), pl.col("address")
    first = (
        pl.when(mode.is_in(["role", "family", "household"]))
        .then(pl.col("crowd") + pl.col("crowd_place"))
        .when(mode == "namesake")
        .then("crowd")
        .otherwise(person * 7 // 3)
    )
    last = pl.when(mode.is_in(["household", "namesake"])).then("crowd").otherwise(person * 11 // 5)
    frame = plan.with_columns(
        _first=_one_of(FIRST, first),
        # Who is to be recognised by name needs one that nobody else has.
        _last=pl.when(mode.is_in(["work_login", "work_list", "other_checkout"]))
        .then(_one_of(LAST, last) + "-" + _one_of(LAST, person * 13 // 7))
        .otherwise(_one_of(LAST, last)),
        _employer=_one_of(EMPLOYERS[0], person // len(EMPLOYERS[1])) + _one_of(EMPLOYERS[1], person),
        _private=pl.when(mode == "dotted").then(pl.lit("gmail.com")).otherwise(_one_of(PRIVATE, person)),
        _is_changed=mode == "changed",
    )  # fmt: skip
    given, family = _ascii("_first"), _ascii("_last")
    number = person.cast(pl.String)
    private = pl.when(mode == "dotted").then(given + family + number).otherwise(given + "." + family + number)
    frame = frame.with_columns(
        _home=pl.when(mode == "role")
        .then(spelled("info@office{}.example", "crowd"))
        .when(mode == "test")
        .then(spelled("qa{}@northwind.example", person))
        .otherwise(private + "@" + pl.col("_private")),
        _job=given.str.slice(0, 1) + family + number + "@" + pl.col("_employer") + ".example",
        _number=pl.when("phone").then(
            pl.when(mode.is_in(["office", "family", "household"])).then("crowd").otherwise(person)
        ),
    )
    mistyped = _mistyped(private, person) + "@" + pl.col("_private")
    # Namesakes at one firm work in different branches, so that no two people have one address.
    branch = _one_of(BRANCHES, person // 300) + _one_of(BRANCHES, person // 300 // len(BRANCHES))
    at_work = given + "." + family + "@" + pl.col("_employer") + "." + branch + ".example"
    guest = family + number + "@inbox.example"
    # Lookalikes of one address: as typed into a form, and with a tag at the checkout.
    shouted = pl.when(person % 10 == 0).then(pl.col("_home").str.to_uppercase()).otherwise("_home")
    dotted = spelled("{}.{}{}@Gmail.com", "_first", "_last", person).str.replace_many(_ASCII)
    tagged = given + "." + family + number + pl.lit("+school@gmail.com")
    login = (
        pl.when(mode.is_in(["elsewhere", "by_phone", "changed"]))
        .then("_job")
        .when(mode == "mistyped_login")
        .then(mistyped)
        .when(mode == "work_login")
        .then(at_work)
        .otherwise("_home")
    )
    has_none = mode.is_in(["keyless", "guest"])
    plain = pl.col("_first") + " " + pl.col("_last")
    reversed_ = pl.col("_last") + ", " + pl.col("_first")
    return frame.with_columns(
        typeform_email=pl.when(mode == "dotted").then(dotted).when(mode == "mistyped_lead").then(mistyped)
        .otherwise(shouted),
        hubspot_email=pl.when(mode == "contact_elsewhere").then("_job").otherwise("_home"),
        second_hubspot_email=pl.col("_job"),
        old_stripe_email=pl.when(mode == "dotted").then(tagged).when(has_none).then(None).otherwise("_home"),
        stripe_email=pl.when(mode == "dotted").then(tagged).when(has_none).then(None)
        .when("_is_changed").then("_job").when(mode == "other_checkout").then(guest).otherwise("_home"),
        login_email=login,
        mailchimp_email=pl.when(mode == "mistyped_list").then(mistyped).when(mode == "work_list").then(at_work)
        .otherwise("_home"),
        employer=pl.when(mode.is_in(["work_login", "work_list"])).then(pl.col("_employer").str.to_titlecase()),
        plain_phone=_phone(0), typeform_phone=_phone(1), hubspot_phone=_phone(2), community_phone=_phone(3),
        stripe_phone=pl.when(~has_none).then(_phone(0)),
        plain_name=plain,
        typeform_name=pl.when(mode == "mistyped_lead").then(reversed_).when(person % 5 == 0).then(None)
        .when(person % 5 == 1).then(plain.str.to_lowercase())
        .otherwise(plain),
        stripe_name=pl.when(mode == "guest").then(None).when(person % 7 == 0).then(reversed_).otherwise(plain),
        community_name=pl.when(person % 4 == 0).then(reversed_).otherwise(plain),
    ).drop(selectors.starts_with("_"))  # fmt: skip


def _mistyped(local: pl.Expr, person: pl.Expr) -> pl.Expr:
    """A mailbox name with one slip of the finger: a letter left out, doubled, swapped with the next, or its neighbour."""
    place = 1 + person % 3
    before, letter, after = local.str.slice(0, place), local.str.slice(place, 1), local.str.slice(place + 1)
    return (
        pl.when(person // 3 % 4 == 0).then(before + after)
        .when(person // 3 % 4 == 1).then(before + letter + letter + after)
        .when((person // 3 % 4 == 2) & (letter != after.str.slice(0, 1)))  # noqa: PLR2004  the third slip
        .then(before + after.str.slice(0, 1) + letter + after.str.slice(1))
        .otherwise(before + "q" + after)
    )  # fmt: skip


def _one_of(words: tuple[str, ...], number: pl.Expr) -> pl.Expr:
    codes = list(range(len(words)))
    return (number % len(words)).replace_strict(codes, list(words), return_dtype=pl.String)


def _ascii(name: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase().str.replace_many(_ASCII)


def _phone(style: int) -> pl.Expr:
    """The number as one of four habits writes it; which habit depends on the person and the platform."""
    number = pl.col("_number")
    area = _one_of(AREAS, number)
    exchange = (555 + number // (10_000 * len(AREAS))).cast(pl.String)
    line = (number // len(AREAS) % 10_000).cast(pl.String).str.zfill(4)
    habit = (number + style) % 4
    return (
        pl.when(habit == 0).then(spelled("+1{}{}{}", area, exchange, line))
        .when(habit == 1).then(spelled("({}) {}-{}", area, exchange, line))
        .when(habit == 2).then(spelled("{}-{}-{}", area, exchange, line))  # noqa: PLR2004  the third habit
        .otherwise(spelled("+1 {} {} {}", area, exchange, line))
    )  # fmt: skip
