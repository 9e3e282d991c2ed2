"""Who of those who sign a document is the buyer. Not here: how a vendor tells who signs."""

from collections.abc import Collection

import polars as pl

from journey_pipeline.platforms.translate import integer


def buyers(
    documents: pl.LazyFrame, signers: pl.Expr, order: str, senders: pl.Expr, own_domains: Collection[str]
) -> pl.LazyFrame:
    """Of each row (`_loaded_at`, `_row`) the first signer who is not of the business, with the signer's fields.

    `signers`: a list of structs, one field `email`, one `order` in which they sign; `senders`: a list of addresses.
    """
    of_document = ["_loaded_at", "_row"]
    domain = pl.col("email").str.extract("@(.+)$").str.to_lowercase()
    is_own = domain.is_in([own.lower() for own in own_domains]) | pl.col("email").is_in(pl.col("senders"))
    return (
        documents.select(*of_document, senders=senders, signer=signers)
        .explode("signer")
        .unnest("signer")
        .filter(pl.col("email").is_not_null(), ~is_own.fill_null(value=False))
        .sort(*of_document, integer(pl.col(order)), nulls_last=True, maintain_order=True)
        .unique(of_document, keep="first", maintain_order=True)
        .drop("senders", order)
    )
