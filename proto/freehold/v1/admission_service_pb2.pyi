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
LISTING_EFFECT_UNSPECIFIED: ListingEffect
LISTING_EFFECT_DENY: ListingEffect
LISTING_EFFECT_ALLOW: ListingEffect
LISTING_KIND_UNSPECIFIED: ListingKind
LISTING_KIND_USER: ListingKind
LISTING_KIND_DEVICE: ListingKind
LISTING_KIND_PAYMENT_ACCOUNT: ListingKind
LISTING_KIND_EVERYBODY: ListingKind

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
