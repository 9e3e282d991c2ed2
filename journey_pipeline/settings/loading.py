"""Reads journey.yaml into Settings, or refuses it with every mistake in it; makes its platforms; reads secrets.

Not here: what a value of each part may be (model.py), what a rule may say (invariants), what a platform needs (its own
module).
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from pydantic import BaseModel, ValidationError

from journey_pipeline import platforms
from journey_pipeline.errors import JourneyError, SettingsError, SourceError, one_of
from journey_pipeline.identity.decisions import HEADER
from journey_pipeline.identity.decisions import parse as parse_decisions
from journey_pipeline.invariants import catalogue, language
from journey_pipeline.invariants.own import load as own_expectations
from journey_pipeline.invariants.waivers import parse as parse_waivers
from journey_pipeline.model import IdentityRules, Offer, Rule, Settings, Thresholds
from journey_pipeline.platforms.base import Platform
from journey_pipeline.records import Source
from journey_pipeline.settings import wording
from journey_pipeline.settings.document import parse

_Model = TypeVar("_Model", bound=BaseModel)
Mistakes = Iterator[tuple[str, str]]
_REFS = ("bought_as", "grants", "welcome", "cart", "sales")
_DECISIONS = "identity_decisions.csv"
_SECRET_WORDS = ("key", "token", "secret", "password")


def load(path: Path) -> Settings:
    """The settings of one file.

    Raises:
        SettingsError: listing every mistake as `line: path: what is wrong, what is allowed`, in the file's order; or those
            of a file of expectations beside it.
    """
    try:
        document = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        fault = f"can't be read as text ({type(error).__name__}); the README shows how to write one, --settings names another"
        raise SettingsError(path.name, [fault]) from error
    found = list(document.mistakes)
    settings = None
    if document.data is not None:
        try:
            settings = Settings.model_validate(document.data)
        except ValidationError as error:
            found += wording.mistakes(error, Settings)
        found += _meaning(document.data, path.parent)
    if found or settings is None:
        placed = sorted((document.line(at), f"{at}: {sentence}" if at else sentence) for at, sentence in found)
        raise SettingsError(path.name, [f"{line}: {text}" for line, text in placed])
    own_expectations(path.parent)
    return settings


def sources(settings: Settings, folder: Path) -> tuple[Source, ...]:
    """The platforms of settings that `load` accepted; `folder` is where the settings file lies."""
    return tuple(_source(name, dict(given), folder) for name, given in settings.platforms.items())


def _source(name: str, given: dict[str, Any], folder: Path) -> Source:
    platform = platforms.get(given.pop("type", name))
    options = platform.options.model_validate(given)
    return Source(platform.made(name, options, folder) if platform.made else platform, name, options)


def secrets(platform: Platform, options: BaseModel, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The secrets that a platform needs with these options, read when it is first pulled.

    Raises:
        SourceError: permanent, naming every one that is missing. Their values are never told.
    """
    needed = [n for n in platform.secrets if getattr(options, platform.needed_for.get(n, ""), True)]
    missing = [name for name in needed if not environ.get(name, "").strip()]
    if missing:
        count = f"{len(missing)} secret{'s' if len(missing) > 1 else ''} missing from the environment"
        sentence = f"{platform.name}: {count}: {', '.join(missing)}. Set them, then try: journey doctor."
        raise SourceError(sentence, is_transient=False)
    return {name: environ[name].strip() for name in needed}


def addresses(settings: Settings, environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Owner of `notify:` -> name of the environment variable -> the address in it. Addresses are never told.

    Raises:
        JourneyError: naming every variable that is missing.
    """
    names = sorted({name for listed in settings.notify.values() for name in listed})
    missing = [name for name in names if not environ.get(name, "").strip()]
    if missing:
        count = f"{len(missing)} address{'es' if len(missing) > 1 else ''} to tell people at"
        msg = f"{count} missing from the environment: {', '.join(missing)}. Set what notify: in journey.yaml names."
        raise JourneyError(msg)
    return {owner: {name: environ[name].strip() for name in listed} for owner, listed in settings.notify.items()}


def waivers(path: Path) -> pl.DataFrame:
    """The lines of a waivers file: finding, reason, who, until_on.

    Raises:
        SettingsError: listing every bad line.
    """
    return parse_waivers(path.read_text(encoding="utf-8-sig"), path.name)


def waivers_file(path: Path) -> Path:
    """The waivers file that a settings file names, be it there or not.

    Raises:
        SettingsError: if it names none.
    """
    said = _mapping(parse(path.read_text(encoding="utf-8")).data if path.is_file() else None).get("waivers")
    if not isinstance(said, str):
        fault = "names no waivers file; add the line `waivers: waivers.csv`, and try again: the file is made for you"
        raise SettingsError(path.name, [fault])
    return path.parent / said


def decisions_file(settings: Settings, folder: Path) -> Path:
    """Where what people decided about twins is kept; `folder` is where the settings file lies."""
    return folder / (settings.identity.decisions or _DECISIONS)


def decisions(settings: Settings, folder: Path) -> pl.DataFrame:
    """The lines of the decisions file; none while nobody has decided anything.

    Raises:
        SettingsError: listing every bad line.
    """
    file = decisions_file(settings, folder)
    return parse_decisions(file.read_text(encoding="utf-8-sig") if file.is_file() else HEADER, file.name)


def _meaning(data: Any, folder: Path) -> Mistakes:
    """What is wrong between parts that are each well-formed; parts that are not are pydantic's to name."""
    if not isinstance(data, dict):
        return
    offers = {f"offers[{i}]": offer for i, offer in _valid(Offer, data.get("offers"))}
    rules = {f"invariants[{i}]": rule for i, rule in _valid(Rule, data.get("invariants"))}
    yield from _platforms(_mapping(data.get("platforms")), folder)
    yield from _offers(offers, list(_mapping(data.get("platforms"))))
    yield from _rules(rules)
    yield from _names(data, rules)
    yield from _watched(data, [offer.id for offer in offers.values()])
    yield from _thresholds(data.get("thresholds"))
    yield from _identity(_mapping(data.get("identity")), list(_mapping(data.get("platforms"))), folder)
    if isinstance(file := data.get("waivers"), str) and not (folder / file).is_file():
        yield "waivers", f"no file {file!r} beside the settings file; make it, its first line: finding,reason,who,until"


def _valid(model: type[_Model], items: Any) -> Iterator[tuple[int, _Model]]:
    for i, item in enumerate(items if isinstance(items, list) else ()):
        try:
            yield i, model.model_validate(item)
        except ValidationError:
            continue


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _platforms(given: Mapping[str, Any], folder: Path) -> Mistakes:
    for name, options in given.items():
        if not isinstance(options, dict):
            continue
        at, kind = f"platforms.{name}", options.get("type", name)
        if kind not in platforms.CATALOGUE:
            hint = "" if "type" in options else "; one of another name gives its type, like type: files"
            where = f"{at}.type" if "type" in options else at
            yield where, f"no platform {kind!r}; {one_of(str(kind), platforms.CATALOGUE)}{hint}"
        elif kind != name and not platforms.get(kind).made:
            yield at, f"{kind} runs under its own name: its records name each other by it; call it {kind}"
        else:
            yield from _options(at, kind, {k: v for k, v in options.items() if k != "type"}, folder)


def _options(at: str, kind: str, given: dict[str, Any], folder: Path) -> Mistakes:
    platform = platforms.get(kind)
    try:
        options = platform.options.model_validate(given)
    except ValidationError as error:
        for path, sentence in wording.mistakes(error, platform.options, at):
            name = path.rsplit(".", 1)[-1]
            is_secret = sentence.startswith("no such name") and any(word in name.lower() for word in _SECRET_WORDS)
            kept = f"secrets never stand in this file; set in the environment: {', '.join(platform.secrets) or 'none'}"
            yield path, kept if is_secret else sentence
        return
    yield from ((f"{at}.{path}", sentence) for path, sentence in platform.mistakes(options, folder))


def _offers(offers: Mapping[str, Offer], connected: Collection[str]) -> Mistakes:
    ids: dict[str, str] = {}
    buyers: dict[str, str] = {}
    for at, offer in offers.items():
        if (first := ids.setdefault(offer.id, at)) != at:
            yield f"{at}.id", f"{offer.id!r} is the id of {first} too; choose another"
        for part in _REFS:
            for i, ref in enumerate(getattr(offer, part)):
                platform = ref.split(":", 1)[0]
                if platform not in connected:
                    yield (
                        f"{at}.{part}[{i}]",
                        f"no platform {platform!r} under platforms; {one_of(platform, connected)}",
                    )
        for i, ref in enumerate(offer.bought_as):
            if (first := buyers.setdefault(ref, at)) != at:
                yield f"{at}.bought_as[{i}]", f"{ref!r} buys {first} too; a product buys one offer"
        if offer.opens_on and offer.closes_on and offer.closes_on < offer.opens_on:
            yield f"{at}.closes_on", f"{offer.closes_on} is before opens_on, {offer.opens_on}"


def _rules(rules: Mapping[str, Rule]) -> Mistakes:
    names: dict[str, str] = {}
    for at, rule in rules.items():
        if (first := names.setdefault(rule.name, at)) != at:
            yield f"{at}.name", f"{rule.name!r} is the name of {first} too; choose another"
        yield from language.mistakes(rule, at)


def _names(data: Mapping[str, Any], own: Mapping[str, Rule]) -> Mistakes:
    """Names of invariants and of teams that nothing answers to."""
    rules = {rule.name: rule for rule in (*catalogue.load(), *own.values())}
    owners = {rule.owner for rule in rules.values()}
    for part in ("deadlines", "off"):
        for name in _mapping(data.get(part)):
            if name not in rules:
                yield f"{part}.{name}", f"no invariant {name!r}; {one_of(name, rules)}"
            elif part == "deadlines" and rules[name].within is None:
                yield f"{part}.{name}", f"{name} has no deadline: it is judged at once; leave it out"
    for part, allowed in (("owners", owners), ("notify", {*owners, "*"})):
        for name in _mapping(data.get(part)):
            if name not in allowed:
                yield f"{part}.{name}", f"no invariant is owned by {name!r}; {one_of(name, allowed)}"


def _watched(data: Mapping[str, Any], offers: Collection[str]) -> Mistakes:
    """Platforms and offers to watch that are none."""
    for part, known in (("platforms", list(_mapping(data.get("platforms")))), ("offers", offers)):
        named = _mapping(data.get("watch")).get(part)
        for i, name in enumerate(named if isinstance(named, list) else ()):
            if name not in known:
                yield (
                    f"watch.{part}[{i}]",
                    f"no {part.removesuffix('s')} {name!r} under {part}; {one_of(str(name), known)}",
                )


def _thresholds(given: Any) -> Mistakes:
    for name, value in _mapping(given).items():
        if name in Thresholds.model_fields and isinstance(value, str) and value.endswith("bd"):
            yield f"thresholds.{name}", f"{value!r} counts business days; allowed here: 15m, 1h, 3d"


def _identity(given: Mapping[str, Any], connected: Collection[str], folder: Path) -> Mistakes:
    usual = IdentityRules()
    link, suggest = given.get("link", usual.link), given.get("suggest", usual.suggest)
    if isinstance(link, int | float) and isinstance(suggest, int | float) and suggest > link:
        at = "suggest" if "suggest" in given else "link"
        yield f"identity.{at}", f"suggest, {suggest}, is above link, {link}: what is linked is suggested no more"
    for part in ("include", "exclude"):
        rules = given.get(part)
        for i, rule in enumerate(rules if isinstance(rules, list) else ()):
            platform = _mapping(rule).get("platform")
            if isinstance(platform, str) and platform not in connected:
                yield (
                    f"identity.{part}[{i}].platform",
                    f"no platform {platform!r} under platforms; {one_of(platform, connected)}",
                )
    if isinstance(file := given.get("decisions"), str) and not (folder / file).is_file():
        yield (
            "identity.decisions",
            f"no file {file!r} beside the settings file; make it, its first line: {HEADER.strip()}",
        )
