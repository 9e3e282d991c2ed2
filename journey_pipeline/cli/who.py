"""Who is meant by an address, a phone number, a `platform:id` or a person_id. What is said of them is explain's."""

import re

import polars as pl

from journey_pipeline.cli.warehouse import Warehouse
from journey_pipeline.errors import JourneyError
from journey_pipeline.identity import normalise

_SHOWN = 10  # people listed where several are meant

_BY_ID = "select person_id from journey.people where person_id = $who"
_MERGED = """
with recursive path as (
    select to_person_id as person_id, 1 as step from journey.identity_changes
    where from_person_id = $who and change = 'merge'
    union all
    select later.to_person_id, step + 1 from path
    join journey.identity_changes as later on later.from_person_id = path.person_id and later.change = 'merge'
    where step < 20
)
select person_id from path join journey.people using (person_id) order by step desc limit 1
"""
# A key that several names share ties the records of each name apart: `phone:+1…|ann lee`.
_BY_KEY = """
select distinct person_id from journey.person_keys
where (key = $key or starts_with(key, $key || '|')) order by person_id
"""
_BY_RECORD = """
select person_id from journey.person_keys where platform = $platform and record_id = $record_id
union select person_id from journey.journey_events where platform = $platform and record_id = $record_id
order by person_id
"""
# An address that ties nobody may still be one by which people are known.
_BY_ADDRESS = "select person_id from journey.people where lower(email) = lower($who) order by person_id"
_DEMOTED = "select reason from journey.demoted_keys where key = $key"


def person(warehouse: Warehouse, who: str) -> str:
    """The person_id.

    Raises:
        JourneyError: if nobody is known by it, or more than one person.
    """
    who = who.strip()
    keys = _keys(who, warehouse)
    platform, _, record_id = who.partition(":")
    asked = [
        (_BY_ID, {"who": who}),
        (_MERGED, {"who": who}),
        *((_BY_KEY, {"key": key}) for key in keys),
        (_BY_RECORD, {"platform": platform, "record_id": record_id}),
        (_BY_ADDRESS, {"who": who}),
    ]
    answers = (warehouse.ask(query, **values)["person_id"].drop_nulls().to_list() for query, values in asked)
    people: list[str] = next(filter(None, answers), [])
    if len(people) == 1:
        return people[0]
    shared = [reason for key in keys for reason in warehouse.ask(_DEMOTED, key=key)["reason"]]
    raise JourneyError(_several(who, people, shared) if people else _nobody(who, keys, shared))


def _keys(who: str, warehouse: Warehouse) -> list[str]:
    """The keys that it may be, spelled as identity spells them."""
    country = warehouse.settings.business.country if warehouse.settings else None
    address = pl.select(normalise.canonical(normalise.email(pl.lit(who)))).item()
    looks_dialled = re.fullmatch(r"\+?[\d\s().-]{6,}", who)
    number = normalise.phones(pl.Series([who]), country).item() if looks_dialled else None
    spelled = [
        f"email:{address}" if address else None,
        f"phone:{number}" if number else None,
        who if ":" in who else None,
    ]
    return [key for key in spelled if key]


def _nobody(who: str, keys: list[str], shared: list[str]) -> str:
    if shared:
        return f"{who} tells nobody apart: it is {shared[0]}. Ask by another address, platform:id or person_id."
    if not keys:
        return (
            f"{who} is no person_id that we know, and nothing else that can be looked for; "
            "allowed: an e-mail address, a phone number with its +country code, platform:id, or a person_id."
        )
    looked = f"the key {' or '.join(keys)}" + (f" and the record {who}" if who in keys else "")
    return f"nobody is known by {who}: looked for {looked} among all people of the last run."


def _several(who: str, people: list[str], shared: list[str]) -> str:
    why = f", as it is {shared[0]}" if shared else ""
    shown = ", ".join(people[:_SHOWN]) + (", …" if len(people) > _SHOWN else "")
    return f"{who} is {len(people)} people{why}. Ask for one of them: journey explain {people[0]}. All: {shown}"
