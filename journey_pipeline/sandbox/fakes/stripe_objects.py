"""Stripe's objects, made out of a world's records. How they are asked for is stripe.py's.

What Stripe holds beside a payment is derived from it: the refund, the dispute, the customer, and the invoice or the
Checkout session that it came by.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zlib import crc32

Thing = dict[str, Any]
Row = Mapping[str, Any]

_BORN = {
    "refund": "refund.created",
    "dispute": "charge.dispute.created",
    "customer": "customer.created",
    "subscription": "customer.subscription.created",
    "invoice": "invoice.finalized",
    "invoice_payment": "invoice_payment.paid",
    "checkout.session": "checkout.session.completed",
}
_CHANGED = {
    "charge": "charge.updated",
    "refund": "refund.updated",
    "dispute": "charge.dispute.updated",
    "customer": "customer.updated",
    "subscription": "customer.subscription.updated",
}
_INTERVALS = {"quarter": ("month", 3)}
_DISPUTES = {"open": "needs_response", "won": "won", "lost": "lost"}
_KEY_FIELDS = ("user_ref", "contact_ref", "account_ref")


def made(payments: Sequence[Row], subscriptions: Sequence[Row]) -> Iterator[tuple[Thing, int]]:
    """Every object, with the second of its last change."""
    for customer in _customers([*payments, *subscriptions]):
        yield _customer(customer), _epoch(customer["changed_at"])
    for row in payments:
        yield from ((thing, _epoch(row["changed_at"])) for thing in _payment(row))
    for row in subscriptions:
        yield _subscription(row), _epoch(row["changed_at"])


def events(thing: Thing, changed: int) -> list[Thing]:
    """An event tells of its object as it was: here only which one, so that whoever trusts the rest is found out."""
    kind = thing["object"]
    born = _BORN.get(kind, f"charge.{thing.get('status')}")
    told = [(born, thing["created"])]
    if changed > thing["created"] and kind in _CHANGED:
        told.append((_CHANGED[kind], changed))
    return [
        {
            "id": f"evt_{thing['id']}_{n}", "object": "event", "type": name, "created": at, "livemode": False,
            "pending_webhooks": 0, "api_version": "2020-08-27", "request": None,
            "data": {"object": {"id": thing["id"], "object": kind}},
        }
        for n, (name, at) in enumerate(told)
    ]  # fmt: skip


def _customers(rows: Sequence[Row]) -> list[Thing]:
    """Each customer as its newest record has it; a later address wins, as it does at Stripe."""
    known: dict[str, Thing] = {}
    for row in sorted(rows, key=lambda r: (r["occurred_at"], r["record_id"])):
        if (own := _own_key(row)) is None:
            continue
        past = known.get(own, {"created": row["occurred_at"], "changed_at": row["changed_at"]})
        told = {k: row[k] or past.get(k) for k in ("email", "phone", "name")}
        is_news = any(told[k] != past.get(k) for k in told)
        changed_at = max(past["changed_at"], row["changed_at"]) if is_news else past["changed_at"]
        known[own] = {**past, **told, "id": own, "changed_at": changed_at, "is_test": row["is_test"]}
    return list(known.values())


def _customer(known: Thing) -> Thing:
    return {
        **_base("customer", known["id"], known["created"], known),
        "email": known["email"], "name": known["name"], "phone": known["phone"], "metadata": {}, "balance": 0,
    }  # fmt: skip


def _payment(row: Row) -> list[Thing]:
    tail = row["record_id"].removeprefix("ch_")
    by = "subscription" if row["subscription_ref"] else ("checkout", "direct")[crc32(tail.encode()) % 2]
    places = {
        "subscription": ("billing", "receipt", "invoice"),
        "checkout": ("billing", "checkout"),
        "direct": ("billing", "receipt"),
    }
    place = places[by][crc32(tail[::-1].encode()) % len(places[by])]
    things = [_charge(row, tail, place, by)]
    if by == "subscription":
        things += _invoice(row, tail, row["email"] if place == "invoice" else None)
    if by == "checkout":
        things.append(_session(row, tail, row["email"] if place == "checkout" else None))
    if row["refunded_minor"]:
        things += _refunds(row, tail)
    if row["disputed_at"]:
        things.append(_dispute(row, tail))
    return things


def _charge(row: Row, tail: str, place: str, by: str) -> Thing:
    authorised, refunded = row["status"] == "authorised", row["refunded_minor"] or 0
    status = "succeeded" if authorised else row["status"]
    method = {"bank_transfer": "customer_balance"}.get(row["method"], row["method"])
    metadata = dict(zip(_KEY_FIELDS, () if by == "checkout" else _other_keys(row), strict=False))
    if row["same_as"]:
        metadata["order_ref"] = ",".join(row["same_as"])
    if by == "direct" and row["product_ref"]:
        metadata["price_id"] = row["product_ref"].removeprefix("stripe:")
    return {
        **_base("charge", row["record_id"], row["occurred_at"], row),
        "amount": row["amount_minor"], "currency": row["currency"].lower(), "customer": _own_key(row),
        "amount_captured": row["amount_minor"] if status == "succeeded" and not authorised else 0,
        "amount_refunded": refunded, "captured": status == "succeeded" and not authorised, "status": status,
        "paid": status == "succeeded", "refunded": 0 < row["amount_minor"] <= refunded, "metadata": metadata,
        "disputed": row["disputed_at"] is not None, "payment_intent": f"pi_{tail}", "balance_transaction": None,
        "billing_details": {
            "email": row["email"] if place == "billing" else None, "name": row["name"], "phone": row["phone"],
            "address": None,
        },
        "receipt_email": row["email"] if place == "receipt" else None,
        "payment_method_details": {"type": method} if method else None,
    }  # fmt: skip


def _refunds(row: Row, tail: str) -> list[Thing]:
    """The one that succeeded; now and then an attempt before it that failed."""
    base = {"charge": row["record_id"], "payment_intent": f"pi_{tail}", "currency": row["currency"].lower()}
    whole = {
        **_base("refund", f"re_{tail}", row["refunded_at"], row), **base, "amount": row["refunded_minor"],
        "status": "succeeded", "metadata": {},
    }  # fmt: skip
    before = {**whole, "id": f"re_{tail}x", "status": "failed", "created": whole["created"] - 60}
    return [whole, before] if crc32(tail.encode()) % 3 == 0 else [whole]


def _dispute(row: Row, tail: str) -> Thing:
    return {
        **_base("dispute", f"dp_{tail}", row["disputed_at"], row),
        "charge": row["record_id"], "payment_intent": f"pi_{tail}", "amount": row["amount_minor"],
        "currency": row["currency"].lower(), "status": _DISPUTES[row["dispute_status"]], "reason": "general",
        "balance_transactions": [], "evidence": {}, "is_charge_refundable": False, "metadata": {},
        "evidence_details": {"due_by": None, "has_evidence": False, "past_due": False, "submission_count": 0},
    }  # fmt: skip


def _invoice(row: Row, tail: str, email: str | None) -> list[Thing]:
    subscription, at = row["subscription_ref"].removeprefix("stripe:"), _epoch(row["occurred_at"])
    amount, money = row["amount_minor"], row["currency"].lower()
    paid = amount if row["status"] == "succeeded" else 0
    line = {
        "id": f"il_{tail}", "object": "line_item", "amount": amount, "currency": money, "livemode": not row["is_test"],
        "description": None, "discountable": True, "metadata": {}, "quantity": 1, "period": {"start": at, "end": at},
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {"proration": False, "subscription": subscription},
        },
        "pricing": _pricing(row),
    }  # fmt: skip
    # An upgrade's invoice opens with a credit for what the old price would still have covered.
    credit = {
        **line, "id": f"il_{tail}x", "amount": -1, "pricing": _pricing({"product_ref": "stripe:price_old"}),
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {"proration": True, "subscription": subscription},
        },
    }  # fmt: skip
    invoice = {
        **_base("invoice", f"in_{tail}", row["occurred_at"], row),
        "customer": _own_key(row), "customer_email": email, "currency": money, "status": "paid" if paid else "open",
        "amount_due": amount, "amount_paid": paid, "amount_remaining": amount - paid, "amount_shipping": 0,
        "attempt_count": 1, "attempted": True, "automatic_tax": {"enabled": False}, "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically", "default_tax_rates": [], "metadata": {}, "payment_settings": {},
        "period_start": at, "period_end": at, "post_payment_credit_notes_amount": 0, "starting_balance": 0,
        "pre_payment_credit_notes_amount": 0, "subtotal": amount, "total": amount,
        "status_transitions": {"finalized_at": at, "paid_at": at if paid else None},
        "parent": {
            "type": "subscription_details",
            "subscription_details": {"metadata": {}, "subscription": subscription},
        },
        "lines": {
            "object": "list", "has_more": False, "url": f"/v1/invoices/in_{tail}/lines",
            "data": [credit, line] if crc32(tail.encode()) % 4 == 0 else [line],
        },
    }  # fmt: skip
    payment = {
        **_base("invoice_payment", f"inpay_{tail}", row["occurred_at"], row),
        "invoice": f"in_{tail}", "amount_paid": paid or None, "amount_requested": amount, "currency": money,
        "is_default": True, "payment": {"type": "payment_intent", "payment_intent": f"pi_{tail}"},
        "status": "paid" if paid else "open",
        "status_transitions": {"canceled_at": None, "paid_at": at if paid else None},
    }  # fmt: skip
    return [invoice, payment]


def _pricing(row: Row) -> Thing | None:
    if not row["product_ref"]:
        return None
    price = row["product_ref"].removeprefix("stripe:")
    return {
        "type": "price_details",
        "unit_amount_decimal": None,
        "price_details": {"price": price, "product": f"prod_{price}"},
    }


def _session(row: Row, tail: str, email: str | None) -> Thing:
    amount, money = row["amount_minor"], row["currency"].lower()
    item = {
        "id": f"li_{tail}", "object": "item", "amount_discount": 0, "amount_subtotal": amount, "amount_tax": 0,
        "amount_total": amount, "currency": money, "description": "", "quantity": 1,
        "price": _a_price(row["product_ref"], row, amount=str(amount)) if row["product_ref"] else None,
    }  # fmt: skip
    return {
        **_base("checkout.session", f"cs_{tail}", row["occurred_at"], row),
        "client_reference_id": ",".join(_other_keys(row)) or None, "customer": _own_key(row), "customer_details": {"email": email},
        "amount_total": amount, "currency": money, "mode": "payment", "payment_intent": f"pi_{tail}",
        "payment_method_types": ["card"], "payment_status": "paid" if row["status"] == "succeeded" else "unpaid",
        "status": "complete", "subscription": None, "metadata": {}, "automatic_tax": {"enabled": False, "status": None},
        "custom_fields": [], "custom_text": {"shipping_address": None, "submit": None}, "shipping_options": [],
        "expires_at": _epoch(row["occurred_at"]) + 86_400,
        "line_items": {
            "object": "list", "has_more": False, "url": f"/v1/checkout/sessions/cs_{tail}/line_items",
            "data": [item],
        },
    }  # fmt: skip


def _subscription(row: Row) -> Thing:
    tail, quantity = row["record_id"].removeprefix("sub_"), row["quantity"] or 1
    # Stripe pauses in two ways: a trial that ended without a card, or collection that was switched off.
    is_collection_off = row["status"] == "paused" and crc32(tail.encode()) % 2 == 0
    status = {"ended": "canceled", "paused": "active" if is_collection_off else "paused"}.get(
        row["status"], row["status"]
    )
    metadata = dict(zip(_KEY_FIELDS, _other_keys(row), strict=False))
    if row["instalments"]:
        metadata["instalments"] = str(row["instalments"])
    if row["same_as"]:
        metadata["order_ref"] = ",".join(row["same_as"])
    started, ends = _epoch(row["occurred_at"]), row["period_ends_at"] and _epoch(row["period_ends_at"])
    is_flexible = row["is_cancelling"] and crc32(tail.encode()) % 3 == 0
    item = {
        "id": f"si_{tail}", "object": "subscription_item", "created": started, "metadata": {}, "quantity": quantity,
        "price": _a_price(row["product_ref"], row, amount=_each(row["amount_minor"], quantity), every=row["interval"]),
        "subscription": row["record_id"], "current_period_start": started, "current_period_end": ends,
    }  # fmt: skip
    return {
        **_base("subscription", row["record_id"], row["occurred_at"], row),
        "customer": _own_key(row), "currency": row["currency"].lower(), "status": status, "metadata": metadata,
        "automatic_tax": {"enabled": False}, "billing_cycle_anchor": started, "collection_method": "charge_automatically",
        "start_date": started, "trial_start": None, "trial_end": row["trial_ends_at"] and _epoch(row["trial_ends_at"]),
        "cancel_at": ends if row["is_cancelling"] else None,
        "cancel_at_period_end": bool(row["is_cancelling"]) and not is_flexible,
        "canceled_at": row["cancelled_at"] and _epoch(row["cancelled_at"]),
        "ended_at": row["ended_at"] and _epoch(row["ended_at"]), "latest_invoice": None,
        "pause_collection": {"behavior": "void", "resumes_at": None} if is_collection_off else None,
        "items": {
            "object": "list", "has_more": False, "data": [item],
            "url": f"/v1/subscription_items?subscription={row['record_id']}",
        },
    }  # fmt: skip


def _a_price(product_ref: str, row: Row, *, amount: str | None, every: str | None = None) -> Thing:
    price = product_ref.removeprefix("stripe:")
    interval, count = _INTERVALS.get(every or "", (every, 1))
    recurring = {"interval": interval, "interval_count": count, "usage_type": "licensed"} if interval else None
    return {
        "id": price, "object": "price", "active": True, "billing_scheme": "per_unit", "created": 0,
        "currency": row["currency"].lower(), "livemode": not row["is_test"], "metadata": {}, "product": f"prod_{price}",
        "type": "recurring" if recurring else "one_time", "recurring": recurring,
        "unit_amount": int(amount) if amount and amount.isdigit() else None, "unit_amount_decimal": amount,
    }  # fmt: skip


def _each(amount: int | None, quantity: int) -> str | None:
    if amount is None:
        return None
    whole, rest = divmod(amount, quantity)
    return f"{whole}.{rest * 10**12 // quantity:012d}" if rest else str(whole)


def _base(kind: str, record_id: str, at: datetime, row: Row) -> Thing:
    return {"id": record_id, "object": kind, "created": _epoch(at), "livemode": not row["is_test"]}


def _own_key(row: Row) -> str | None:
    return next((k.removeprefix("stripe:") for k in row["keys"] or () if k.startswith("stripe:cus_")), None)


def _other_keys(row: Row) -> list[str]:
    return [k for k in row["keys"] or () if not k.startswith("stripe:")]


def _epoch(at: datetime) -> int:
    return int(at.timestamp())
