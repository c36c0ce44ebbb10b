import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListingEffect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LISTING_EFFECT_UNSPECIFIED: _ClassVar[ListingEffect]
    LISTING_EFFECT_DENY: _ClassVar[ListingEffect]
    LISTING_EFFECT_ALLOW: _ClassVar[ListingEffect]

class ListingKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LISTING_KIND_UNSPECIFIED: _ClassVar[ListingKind]
    LISTING_KIND_USER: _ClassVar[ListingKind]
    LISTING_KIND_DEVICE: _ClassVar[ListingKind]
    LISTING_KIND_PAYMENT_ACCOUNT: _ClassVar[ListingKind]
    LISTING_KIND_EVERYBODY: _ClassVar[ListingKind]

class BudgetSpan(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUDGET_SPAN_UNSPECIFIED: _ClassVar[BudgetSpan]
    BUDGET_SPAN_OPEN: _ClassVar[BudgetSpan]
    BUDGET_SPAN_DAY: _ClassVar[BudgetSpan]
LISTING_EFFECT_UNSPECIFIED: ListingEffect
LISTING_EFFECT_DENY: ListingEffect
LISTING_EFFECT_ALLOW: ListingEffect
LISTING_KIND_UNSPECIFIED: ListingKind
LISTING_KIND_USER: ListingKind
LISTING_KIND_DEVICE: ListingKind
LISTING_KIND_PAYMENT_ACCOUNT: ListingKind
LISTING_KIND_EVERYBODY: ListingKind
BUDGET_SPAN_UNSPECIFIED: BudgetSpan
BUDGET_SPAN_OPEN: BudgetSpan
BUDGET_SPAN_DAY: BudgetSpan

class ListedSubject(_message.Message):
    __slots__ = ("kind", "subject")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    kind: ListingKind
    subject: str
    def __init__(self, kind: _Optional[_Union[ListingKind, str]] = ..., subject: _Optional[str] = ...) -> None: ...

class Listing(_message.Message):
    __slots__ = ("number", "operator_id", "effect", "kind", "subject", "rules", "policy_id", "reason", "create_time", "created_by", "expire_time", "end_time", "ended_by", "end_reason")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    number: int
    operator_id: str
    effect: ListingEffect
    kind: ListingKind
    subject: str
    rules: _containers.RepeatedScalarFieldContainer[str]
    policy_id: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    created_by: str
    expire_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    ended_by: str
    end_reason: str
    def __init__(self, number: _Optional[int] = ..., operator_id: _Optional[str] = ..., effect: _Optional[_Union[ListingEffect, str]] = ..., kind: _Optional[_Union[ListingKind, str]] = ..., subject: _Optional[str] = ..., rules: _Optional[_Iterable[str]] = ..., policy_id: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_by: _Optional[str] = ..., end_reason: _Optional[str] = ...) -> None: ...

class AddListingsRequest(_message.Message):
    __slots__ = ("request_id", "operator_id", "effect", "subjects", "rules", "policy_id", "expire_time", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    operator_id: str
    effect: ListingEffect
    subjects: _containers.RepeatedCompositeFieldContainer[ListedSubject]
    rules: _containers.RepeatedScalarFieldContainer[str]
    policy_id: str
    expire_time: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., effect: _Optional[_Union[ListingEffect, str]] = ..., subjects: _Optional[_Iterable[_Union[ListedSubject, _Mapping]]] = ..., rules: _Optional[_Iterable[str]] = ..., policy_id: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class AddListingsResponse(_message.Message):
    __slots__ = ("listings",)
    LISTINGS_FIELD_NUMBER: _ClassVar[int]
    listings: _containers.RepeatedCompositeFieldContainer[Listing]
    def __init__(self, listings: _Optional[_Iterable[_Union[Listing, _Mapping]]] = ...) -> None: ...

class EndListingsRequest(_message.Message):
    __slots__ = ("request_id", "operator_id", "numbers", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    operator_id: str
    numbers: _containers.RepeatedScalarFieldContainer[int]
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., numbers: _Optional[_Iterable[int]] = ..., reason: _Optional[str] = ...) -> None: ...

class EndListingsResponse(_message.Message):
    __slots__ = ("listings",)
    LISTINGS_FIELD_NUMBER: _ClassVar[int]
    listings: _containers.RepeatedCompositeFieldContainer[Listing]
    def __init__(self, listings: _Optional[_Iterable[_Union[Listing, _Mapping]]] = ...) -> None: ...

class ListListingsRequest(_message.Message):
    __slots__ = ("operator_id", "kind", "subject", "active_only", "page_size", "page_token")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_ONLY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    kind: ListingKind
    subject: str
    active_only: bool
    page_size: int
    page_token: str
    def __init__(self, operator_id: _Optional[str] = ..., kind: _Optional[_Union[ListingKind, str]] = ..., subject: _Optional[str] = ..., active_only: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListListingsResponse(_message.Message):
    __slots__ = ("listings", "next_page_token")
    LISTINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    listings: _containers.RepeatedCompositeFieldContainer[Listing]
    next_page_token: str
    def __init__(self, listings: _Optional[_Iterable[_Union[Listing, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("policy_id", "currency", "span", "most_minor", "used_minor", "leased_minor", "left_minor", "next_slice_minor")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    MOST_MINOR_FIELD_NUMBER: _ClassVar[int]
    USED_MINOR_FIELD_NUMBER: _ClassVar[int]
    LEASED_MINOR_FIELD_NUMBER: _ClassVar[int]
    LEFT_MINOR_FIELD_NUMBER: _ClassVar[int]
    NEXT_SLICE_MINOR_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    currency: str
    span: BudgetSpan
    most_minor: int
    used_minor: int
    leased_minor: int
    left_minor: int
    next_slice_minor: int
    def __init__(self, policy_id: _Optional[str] = ..., currency: _Optional[str] = ..., span: _Optional[_Union[BudgetSpan, str]] = ..., most_minor: _Optional[int] = ..., used_minor: _Optional[int] = ..., leased_minor: _Optional[int] = ..., left_minor: _Optional[int] = ..., next_slice_minor: _Optional[int] = ...) -> None: ...

class ListBudgetsRequest(_message.Message):
    __slots__ = ("operator_id", "page_size", "page_token")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    page_size: int
    page_token: str
    def __init__(self, operator_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBudgetsResponse(_message.Message):
    __slots__ = ("budgets", "next_page_token")
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[Budget]
    next_page_token: str
    def __init__(self, budgets: _Optional[_Iterable[_Union[Budget, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Breaker(_message.Message):
    __slots__ = ("number", "operator_id", "policy_id", "currency", "policy_revision", "window_days", "most_minor", "least_rentals", "loss_minor", "rentals", "since_time", "open_time", "close_time", "closed_by", "close_reason")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    WINDOW_DAYS_FIELD_NUMBER: _ClassVar[int]
    MOST_MINOR_FIELD_NUMBER: _ClassVar[int]
    LEAST_RENTALS_FIELD_NUMBER: _ClassVar[int]
    LOSS_MINOR_FIELD_NUMBER: _ClassVar[int]
    RENTALS_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSED_BY_FIELD_NUMBER: _ClassVar[int]
    CLOSE_REASON_FIELD_NUMBER: _ClassVar[int]
    number: int
    operator_id: str
    policy_id: str
    currency: str
    policy_revision: int
    window_days: int
    most_minor: int
    least_rentals: int
    loss_minor: int
    rentals: int
    since_time: _timestamp_pb2.Timestamp
    open_time: _timestamp_pb2.Timestamp
    close_time: _timestamp_pb2.Timestamp
    closed_by: str
    close_reason: str
    def __init__(self, number: _Optional[int] = ..., operator_id: _Optional[str] = ..., policy_id: _Optional[str] = ..., currency: _Optional[str] = ..., policy_revision: _Optional[int] = ..., window_days: _Optional[int] = ..., most_minor: _Optional[int] = ..., least_rentals: _Optional[int] = ..., loss_minor: _Optional[int] = ..., rentals: _Optional[int] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., close_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed_by: _Optional[str] = ..., close_reason: _Optional[str] = ...) -> None: ...

class ListBreakersRequest(_message.Message):
    __slots__ = ("operator_id", "open_only", "page_size", "page_token")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_ONLY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    open_only: bool
    page_size: int
    page_token: str
    def __init__(self, operator_id: _Optional[str] = ..., open_only: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBreakersResponse(_message.Message):
    __slots__ = ("breakers", "next_page_token")
    BREAKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    breakers: _containers.RepeatedCompositeFieldContainer[Breaker]
    next_page_token: str
    def __init__(self, breakers: _Optional[_Iterable[_Union[Breaker, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ResetBreakerRequest(_message.Message):
    __slots__ = ("request_id", "operator_id", "number", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    operator_id: str
    number: int
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., number: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ResetBreakerResponse(_message.Message):
    __slots__ = ("breaker",)
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    breaker: Breaker
    def __init__(self, breaker: _Optional[_Union[Breaker, _Mapping]] = ...) -> None: ...
