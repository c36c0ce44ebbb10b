import datetime

from buf.validate import validate_pb2 as _validate_pb2
from freehold.v1 import types_pb2 as _types_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VerifyBooksRequest(_message.Message):
    __slots__ = ("witnesses",)
    WITNESSES_FIELD_NUMBER: _ClassVar[int]
    witnesses: _containers.RepeatedCompositeFieldContainer[SealWitness]
    def __init__(self, witnesses: _Optional[_Iterable[_Union[SealWitness, _Mapping]]] = ...) -> None: ...

class SealWitness(_message.Message):
    __slots__ = ("number", "digest")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    number: int
    digest: bytes
    def __init__(self, number: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class VerifyBooksResponse(_message.Message):
    __slots__ = ("verified", "lines", "entries", "authorizations", "fault", "seals", "signatures", "last_seal")
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATIONS_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    SEALS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    LAST_SEAL_FIELD_NUMBER: _ClassVar[int]
    verified: bool
    lines: int
    entries: int
    authorizations: int
    fault: BookFault
    seals: int
    signatures: int
    last_seal: SealWitness
    def __init__(self, verified: _Optional[bool] = ..., lines: _Optional[int] = ..., entries: _Optional[int] = ..., authorizations: _Optional[int] = ..., fault: _Optional[_Union[BookFault, _Mapping]] = ..., seals: _Optional[int] = ..., signatures: _Optional[int] = ..., last_seal: _Optional[_Union[SealWitness, _Mapping]] = ...) -> None: ...

class BookFault(_message.Message):
    __slots__ = ("rule", "row", "detail")
    RULE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    rule: str
    row: str
    detail: str
    def __init__(self, rule: _Optional[str] = ..., row: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class GetLineAtRequest(_message.Message):
    __slots__ = ("user_id", "currency_code", "known_at", "happened_at")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    HAPPENED_AT_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    currency_code: str
    known_at: _timestamp_pb2.Timestamp
    happened_at: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., currency_code: _Optional[str] = ..., known_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., happened_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetLineAtResponse(_message.Message):
    __slots__ = ("line",)
    LINE_FIELD_NUMBER: _ClassVar[int]
    line: LineAt
    def __init__(self, line: _Optional[_Union[LineAt, _Mapping]] = ...) -> None: ...

class LineAt(_message.Message):
    __slots__ = ("user_id", "limit", "available", "held", "drawn", "receivable", "disputed", "charged_back", "deposit", "refund_payable", "entries", "last_sequence", "rearranged", "overpaid", "unheld")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    DRAWN_FIELD_NUMBER: _ClassVar[int]
    RECEIVABLE_FIELD_NUMBER: _ClassVar[int]
    DISPUTED_FIELD_NUMBER: _ClassVar[int]
    CHARGED_BACK_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    REFUND_PAYABLE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REARRANGED_FIELD_NUMBER: _ClassVar[int]
    OVERPAID_FIELD_NUMBER: _ClassVar[int]
    UNHELD_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    limit: _types_pb2.SignedMoney
    available: _types_pb2.SignedMoney
    held: _types_pb2.SignedMoney
    drawn: _types_pb2.SignedMoney
    receivable: _types_pb2.SignedMoney
    disputed: _types_pb2.SignedMoney
    charged_back: _types_pb2.SignedMoney
    deposit: _types_pb2.SignedMoney
    refund_payable: _types_pb2.SignedMoney
    entries: int
    last_sequence: int
    rearranged: bool
    overpaid: _types_pb2.SignedMoney
    unheld: _types_pb2.SignedMoney
    def __init__(self, user_id: _Optional[str] = ..., limit: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., available: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., held: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., drawn: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., receivable: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., disputed: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., charged_back: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., deposit: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., refund_payable: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., entries: _Optional[int] = ..., last_sequence: _Optional[int] = ..., rearranged: _Optional[bool] = ..., overpaid: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., unheld: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("user_id", "currency_code", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    currency_code: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., currency_code: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("sequence", "transaction_sequence", "operator_id", "authorization", "transition", "book", "debit", "credit", "amount", "debit_after_minor", "credit_after_minor", "event_time", "ledger_time", "link", "link_format", "decision_id")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    TRANSITION_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    DEBIT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DEBIT_AFTER_MINOR_FIELD_NUMBER: _ClassVar[int]
    CREDIT_AFTER_MINOR_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    LEDGER_TIME_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    LINK_FORMAT_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    transaction_sequence: int
    operator_id: str
    authorization: str
    transition: str
    book: str
    debit: str
    credit: str
    amount: _types_pb2.Money
    debit_after_minor: int
    credit_after_minor: int
    event_time: _timestamp_pb2.Timestamp
    ledger_time: _timestamp_pb2.Timestamp
    link: bytes
    link_format: int
    decision_id: str
    def __init__(self, sequence: _Optional[int] = ..., transaction_sequence: _Optional[int] = ..., operator_id: _Optional[str] = ..., authorization: _Optional[str] = ..., transition: _Optional[str] = ..., book: _Optional[str] = ..., debit: _Optional[str] = ..., credit: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., debit_after_minor: _Optional[int] = ..., credit_after_minor: _Optional[int] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ledger_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., link: _Optional[bytes] = ..., link_format: _Optional[int] = ..., decision_id: _Optional[str] = ...) -> None: ...
