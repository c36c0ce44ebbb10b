"""Seals, and the heads of lines under them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table

from service.storage.schema.columns import (
    bytes_column,
    key_column,
    metadata,
    number_column,
    string,
    text_column,
)

# Signatures over the heads of lines; the key that signs is not in the database.
seals = Table(
    "seals",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    bytes_column("previous"),
    bytes_column("digest"),
    bytes_column("signature"),
    text_column("key_id"),
    number_column("seal_us"),
    number_column("outbox_sequence"),
)

sealed_heads = Table(
    "sealed_heads",
    metadata,
    key_column("user_id"),
    Column("currency", string(3), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    number_column("version"),
    bytes_column("head"),
    Index("ix_sealed_heads_number", "number"),
)
