"""E-mails, phones, names and companies as keys: what is the same although it is written otherwise. Values only, no ties."""

import phonenumbers
import polars as pl

from journey_pipeline.registry import TEXT

# Providers that ignore what follows a plus, and those that ignore dots: their help pages say so. Everybody else's
# addresses are left as they are: at other hosts a.b@ and ab@ may be two people.
IGNORES_TAGS = (
    "gmail.com", "outlook.com", "hotmail.com", "live.com", "icloud.com", "me.com", "mac.com", "fastmail.com",
    "proton.me", "protonmail.com", "pm.me",
)  # fmt: skip
IGNORES_DOTS = ("gmail.com",)
SAME_DOMAIN = {"googlemail.com": "gmail.com"}

# Addresses of a role, not of a person; they tie people only where a single name uses them.
ROLES = (
    "info", "office", "contact", "hello", "sales", "support", "admin", "billing", "accounts", "accounting", "team",
    "mail", "help", "service", "invoices", "finance", "hr", "marketing", "noreply", "no-reply",
)  # fmt: skip

# Legal forms, which one system writes and another leaves out.
LEGAL_FORMS = (
    "ab", "ag", "as", "bv", "co", "company", "corp", "corporation", "gmbh", "inc", "incorporated", "kg", "limited", "llc",
    "llp", "lp", "ltd", "nv", "oy", "plc", "pty", "pvt", "sa", "sarl", "sas", "sl", "spa", "srl", "ug",
)  # fmt: skip
# What people write where they have no company.
NO_COMPANY = (
    "", "freelance", "freelancer", "home", "individual", "na", "none", "null", "personal", "private", "self",
    "self employed", "student", "test", "unemployed", "unknown",
)  # fmt: skip

_ADDRESS = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_SHORT = 3
_NORTH_AMERICA = ("US", "CA", "PR", "DO", "JM")


def email(text: pl.Expr) -> pl.Expr:
    """Lower case and trimmed; null for what is no address."""
    clean = text.str.strip_chars().str.to_lowercase()
    return pl.when(clean.str.contains(_ADDRESS)).then(clean)


def canonical(address: pl.Expr) -> pl.Expr:
    """The mailbox behind an address made by `email`: without the dots and tags that its provider ignores."""
    parts = address.str.splitn("@", 2)
    domain = parts.struct.field("field_1").replace(SAME_DOMAIN)
    local = parts.struct.field("field_0")
    untagged = pl.when(domain.is_in(IGNORES_TAGS)).then(local.str.replace(r"\+.*$", "")).otherwise(local)
    undotted = (
        pl.when(domain.is_in(IGNORES_DOTS)).then(untagged.str.replace_all(".", "", literal=True)).otherwise(untagged)
    )
    return pl.when(undotted != "").then(pl.concat_str(undotted, pl.lit("@"), domain)).otherwise(address)


def is_role(address: pl.Expr) -> pl.Expr:
    """Whether an address belongs to a role (info@, office@ …)."""
    return address.str.extract(r"^([^@+]+)", 1).is_in(ROLES)


def name(text: pl.Expr) -> pl.Expr:
    """Lower-case words in alphabetical order, so that `Last, First` equals `First Last`; null if there are none."""
    words = text.str.to_lowercase().str.extract_all("[\\p{L}\\p{N}'\u2019-]{2,}").list.unique().list.sort()
    return pl.when(words.list.len() > 0).then(words.list.join(" "))


def company(text: pl.Expr) -> pl.Expr:
    """Lower-case words without punctuation and legal form; null for what is no company."""
    words = text.str.to_lowercase().str.replace_all(r"['\u2019./]", "").str.extract_all(r"[\p{L}\p{N}]+")
    told = words.list.filter(~pl.element().is_in(LEGAL_FORMS)).list.join(" ")
    return pl.when(~told.is_in(NO_COMPANY)).then(told)


def one_slip(one: str, other: str) -> bool:
    """Whether two names, as `name` gives them, differ in one word, and there by one letter more, less, wrong or swapped.

    In a word of three letters a wrong letter makes another name (Tim, Tom), so there it is none.
    """
    words, others = one.split(), other.split()
    left, right = [w for w in words if w not in others], [w for w in others if w not in words]
    if len(words) != len(others) or len(left) != 1 or len(right) != 1:
        return False
    (a,), (b,) = left, right
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if len(a) != len(b):
        longer, shorter = (a, b) if len(a) > len(b) else (b, a)
        return longer[start + 1 :] == shorter[start:]
    if a[start + 1 :] == b[start + 1 :]:
        return len(a) > _SHORT
    return a[start : start + 2] == b[start : start + 2][::-1] and a[start + 2 :] == b[start + 2 :]


def phones(texts: pl.Series, country: str | None) -> pl.Series:
    """E.164 of each phone number; null for what can't be one. `country` reads numbers without a country code.

    libphonenumber decides. Plain North American numbers, the bulk of many lists, are read by an expression that gives
    the same answer a hundred times faster (a property test holds it to that).
    """
    digits = pl.col("raw").str.replace_all(r"[\s().-]", "")
    national = r"^1?([2-9][0-9]{9})$" if country in _NORTH_AMERICA else r"^$()"
    plain = pl.coalesce(digits.str.extract(r"^\+1([2-9][0-9]{9})$", 1), digits.str.extract(national, 1))
    read = pl.LazyFrame({"raw": texts}).select("raw", read=pl.lit("+1") + plain).collect()
    rest = read.filter(pl.col("read").is_null())["raw"].unique().drop_nulls()
    if rest.is_empty():
        return read["read"]
    slow = pl.DataFrame({"raw": rest, "slow": [_parsed(raw, country) for raw in rest]}, schema_overrides={"slow": TEXT})
    return read.join(slow, on="raw", how="left", maintain_order="left").select(pl.coalesce("read", "slow"))["read"]


def _parsed(raw: str, country: str | None) -> str | None:
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
