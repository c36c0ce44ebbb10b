import datetime

from buf.validate import validate_pb2 as _validate_pb2
from freehold.v1 import types_pb2 as _types_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Transfer(_message.Message):
    __slots__ = ("name", "authorization", "kind", "amount", "state", "detail", "request_time", "change_time", "earlier")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Transfer.Kind]
        KIND_DEBIT: _ClassVar[Transfer.Kind]
        KIND_PAYOUT: _ClassVar[Transfer.Kind]
    KIND_UNSPECIFIED: Transfer.Kind
    KIND_DEBIT: Transfer.Kind
    KIND_PAYOUT: Transfer.Kind
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Transfer.State]
        STATE_REQUESTED: _ClassVar[Transfer.State]
        STATE_SENT: _ClassVar[Transfer.State]
        STATE_SUCCEEDED: _ClassVar[Transfer.State]
        STATE_FAILED: _ClassVar[Transfer.State]
        STATE_CANCELLED: _ClassVar[Transfer.State]
        STATE_RETURNED: _ClassVar[Transfer.State]
    STATE_UNSPECIFIED: Transfer.State
    STATE_REQUESTED: Transfer.State
    STATE_SENT: Transfer.State
    STATE_SUCCEEDED: Transfer.State
    STATE_FAILED: Transfer.State
    STATE_CANCELLED: Transfer.State
    STATE_RETURNED: Transfer.State
    class Word(_message.Message):
        __slots__ = ("state", "detail", "time")
        STATE_FIELD_NUMBER: _ClassVar[int]
        DETAIL_FIELD_NUMBER: _ClassVar[int]
        TIME_FIELD_NUMBER: _ClassVar[int]
        state: Transfer.State
        detail: str
        time: _timestamp_pb2.Timestamp
        def __init__(self, state: _Optional[_Union[Transfer.State, str]] = ..., detail: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    name: str
    authorization: str
    kind: Transfer.Kind
    amount: _types_pb2.Money
    state: Transfer.State
    detail: str
    request_time: _timestamp_pb2.Timestamp
    change_time: _timestamp_pb2.Timestamp
    earlier: Transfer.Word
    def __init__(self, name: _Optional[str] = ..., authorization: _Optional[str] = ..., kind: _Optional[_Union[Transfer.Kind, str]] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., state: _Optional[_Union[Transfer.State, str]] = ..., detail: _Optional[str] = ..., request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., earlier: _Optional[_Union[Transfer.Word, _Mapping]] = ...) -> None: ...

class ReportTransferRequest(_message.Message):
    __slots__ = ("body", "signature")
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    signature: str
    def __init__(self, body: _Optional[bytes] = ..., signature: _Optional[str] = ...) -> None: ...

class ReportTransferResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: Transfer
    def __init__(self, transfer: _Optional[_Union[Transfer, _Mapping]] = ...) -> None: ...

class ListTransfersRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "user_id", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    user_id: str
    state: Transfer.State
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., state: _Optional[_Union[Transfer.State, str]] = ...) -> None: ...

class ListTransfersResponse(_message.Message):
    __slots__ = ("transfers", "next_page_token")
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.RepeatedCompositeFieldContainer[Transfer]
    next_page_token: str
    def __init__(self, transfers: _Optional[_Iterable[_Union[Transfer, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
