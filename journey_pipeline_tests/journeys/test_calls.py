"""Calls, proposals, contacts and answers: what is derived of each, in small worlds as of Friday 15 May 2026 12:00 UTC."""

from typing import Any

from journey_pipeline_tests.worlds import at, one, walk


def booking(id_: str, who: str, starts: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "who": who, "at": "d-20", "starts_at": starts, **more}


def told(table: str, **kinds: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """record_id -> the derived columns of bookings or agreements, in the order of the tests below."""
    columns = {
        "bookings": ("is_primary", "copy_count", "copy_class_count", "has_outcome"),
        "agreements": ("newer_sent_at", "paid_after_at", "followed_up_at"),
    }[table]
    return {row[0]: row[1:] for row in walk(None, **kinds)[table].select("record_id", *columns).rows()}


def test_the_copy_that_knows_the_outcome_speaks_for_a_meeting() -> None:
    found = told(
        "bookings",
        bookings=[
            booking("cal", "ann", "d-9 10:00", platform="calendar"),
            booking("sch", "ann", "d-9 10:04", platform="scheduler", status="completed"),
            booking("own", "ann", "d-5 10:00", platform="calendar"),
        ],
    )
    assert found == {"cal": (False, 2, 1, True), "sch": (True, 2, 1, True), "own": (True, 1, 1, False)}


def test_meetings_of_two_people_or_six_minutes_apart_are_no_copies() -> None:
    found = told(
        "bookings",
        bookings=[
            booking("a", "ann", "d-9 10:00", platform="calendar"),
            booking("b", "bob", "d-9 10:00", platform="scheduler"),
            booking("c", "bob", "d-9 10:06", platform="calendar"),
        ],
    )
    assert {id_: (primary, count) for id_, (primary, count, *_) in found.items()} == dict.fromkeys("abc", (True, 1))


def test_copies_disagree_since_one_was_cancelled_vanished_or_came_back_in_another_state() -> None:
    cancelled = booking("s1", "ann", "d-1", platform="scheduler", status="cancelled", cancelled_at="d-2 08:00")
    vanished = booking("s2", "bob", "d-1", platform="scheduler", gone_at="d-2 09:00")
    changed = booking("s3", "cy", "d-1", platform="scheduler", status="rescheduled", first_loaded_at="d-10",
                      class_changed_at="d-2 10:00")  # fmt: skip
    new = booking("s4", "dan", "d-1", platform="scheduler", status="rescheduled", first_loaded_at="d-10",
                  class_changed_at="d-10")  # fmt: skip
    still = [booking(f"c{n}", who, "d-1", platform="calendar") for n, who in enumerate(("ann", "bob", "cy", "dan"), 1)]
    frame = walk(bookings=[cancelled, vanished, changed, new, *still])["bookings"].filter("is_primary")
    assert {row[0]: row[1:] for row in frame.select("record_id", "copy_class_count", "copy_changed_at").rows()} == {
        "s1": (2, at("d-2 08:00")), "s2": (2, at("d-2 09:00")), "s3": (2, at("d-2 10:00")), "s4": (2, at("d-20")),
    }  # fmt: skip


def test_what_follows_a_meeting_comes_strictly_after_it_began_and_is_the_persons() -> None:
    tables = walk(
        bookings=[booking("b", "ann", "d-9", status="completed"), booking("other", "ann", "d-6", status="cancelled")],
        payments=[{"who": "ann", "at": "d-30"}, {"who": "ann", "at": "d-4"}, {"who": "bob", "at": "d-8"}],
        agreements=[{"who": "ann", "at": "d-9", "sent_at": "d-9"}, {"who": "ann", "at": "d-5", "sent_at": "d-5"}],
        messages=[
            {"who": "ann", "at": "d-8", "purpose": "newsletter"}, {"who": "ann", "at": "d-7", "purpose": "other"},
            {"who": "ann", "at": "d-9", "purpose": "other"},
        ],
    )  # fmt: skip
    met = one(tables["bookings"], record_id="b")
    assert (met["next_step_at"], met["paid_before_at"], met["followed_up_at"]) == (at("d-5"), at("d-30"), at("d-7"))


def test_another_date_is_a_next_step_though_it_lies_ahead() -> None:
    booked = [booking("b", "ann", "d-9", status="completed"), booking("next", "ann", "d+3")]
    assert one(walk(bookings=booked)["bookings"], record_id="b")["next_step_at"] == at("d+3")


def test_a_document_is_superseded_paid_or_followed_up() -> None:
    found = told(
        "agreements",
        agreements=[
            {"id": "a", "who": "ann", "at": "d-10", "sent_at": "d-10", "product_ref": "stripe:price_b"},
            {"id": "b", "who": "ann", "at": "d-4", "sent_at": "d-4", "product_ref": "stripe:price_b"},
            {"id": "draft", "who": "ann", "at": "d-3", "product_ref": "stripe:price_b"},
        ],
        payments=[{"who": "ann", "at": "d-2"}, {"who": "ann", "at": "d-5", "product_ref": "stripe:price_m"}],
        tickets=[{"who": "ann", "at": "d-6"}],
    )
    assert found == {
        "a": (at("d-4"), at("d-2"), at("d-6")), "b": (None, at("d-2"), None), "draft": (None, None, None),
    }  # fmt: skip


def test_an_answer_is_a_word_a_meeting_or_a_deal_since_the_lead() -> None:
    people = walk(
        leads=[{"who": who, "at": "d-9"} for who in ("ann", "bob", "cy", "dan")],
        messages=[
            {"who": "ann", "at": "d-10", "purpose": "other"}, {"who": "ann", "at": "d-8", "purpose": "newsletter"},
            {"who": "bob", "at": "d-9", "purpose": "welcome"},
        ],
        bookings=[{"who": "cy", "at": "d-7", "starts_at": "d-5"}], deals=[{"who": "dan", "at": "d-6"}],
    )["people"]  # fmt: skip
    answered = dict(people.select("email", "first_answer_at").rows())
    assert answered == {"ann@x.com": None, "bob@x.com": at("d-9"), "cy@x.com": at("d-7"), "dan@x.com": at("d-6")}


def test_a_source_is_a_forms_where_most_of_ten_contacts_have_a_lead_of_that_day() -> None:
    def of_source(source: str, count: int, with_lead: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        names = [f"{source}{n}" for n in range(count)]
        contacts = [{"id": name, "who": name, "at": f"d-{2 + n}", "source": source} for n, name in enumerate(names)]
        leads = [{"who": name, "at": f"d-{2 + n}"} for n, name in enumerate(names[:with_lead])]
        return contacts, leads

    form, form_leads = of_source("webinar", 10, 8)
    fair, fair_leads = of_source("fair", 10, 7)
    rare, rare_leads = of_source("rare", 9, 9)
    late = [{"id": f"late{n}", "who": f"late{n}", "at": "d-9", "source": "late"} for n in range(10)]
    late_leads = [{"who": f"late{n}", "at": "d-7"} for n in range(10)]
    frame = walk(
        contacts=[*form, *fair, *rare, *late], leads=[*form_leads, *fair_leads, *rare_leads, *late_leads]
    )["contacts"]  # fmt: skip
    assert set(frame.filter("is_form_source")["source"]) == {"webinar"}
    assert frame.filter("is_form_source", "has_lead").height == 8
    assert one(frame, record_id="late0")["batch_count"] == 13  # its ten, and one of each other source
