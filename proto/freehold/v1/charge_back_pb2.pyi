import datetime

from freehold.v1 import types_pb2 as _types_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChargeBackState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHARGE_BACK_STATE_UNSPECIFIED: _ClassVar[ChargeBackState]
    CHARGE_BACK_STATE_OPEN: _ClassVar[ChargeBackState]
    CHARGE_BACK_STATE_OVERTURNED: _ClassVar[ChargeBackState]
    CHARGE_BACK_STATE_LOST: _ClassVar[ChargeBackState]
    CHARGE_BACK_STATE_UNMATCHED: _ClassVar[ChargeBackState]

class SuspenseDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUSPENSE_DIRECTION_UNSPECIFIED: _ClassVar[SuspenseDirection]
    SUSPENSE_DIRECTION_IN: _ClassVar[SuspenseDirection]
    SUSPENSE_DIRECTION_OUT: _ClassVar[SuspenseDirection]
CHARGE_BACK_STATE_UNSPECIFIED: ChargeBackState
CHARGE_BACK_STATE_OPEN: ChargeBackState
CHARGE_BACK_STATE_OVERTURNED: ChargeBackState
CHARGE_BACK_STATE_LOST: ChargeBackState
CHARGE_BACK_STATE_UNMATCHED: ChargeBackState
SUSPENSE_DIRECTION_UNSPECIFIED: SuspenseDirection
SUSPENSE_DIRECTION_IN: SuspenseDirection
SUSPENSE_DIRECTION_OUT: SuspenseDirection

class ChargeBack(_message.Message):
    __slots__ = ("case_id", "authorization", "payment", "amount", "suspense", "state", "open", "overturned", "lost", "gone_out", "create_time", "decide_time", "reopened")
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    SUSPENSE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    OVERTURNED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    GONE_OUT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DECIDE_TIME_FIELD_NUMBER: _ClassVar[int]
    REOPENED_FIELD_NUMBER: _ClassVar[int]
    case_id: str
    authorization: str
    payment: str
    amount: _types_pb2.Money
    suspense: _types_pb2.Money
    state: ChargeBackState
    open: _types_pb2.Money
    overturned: _types_pb2.Money
    lost: _types_pb2.Money
    gone_out: _types_pb2.Money
    create_time: _timestamp_pb2.Timestamp
    decide_time: _timestamp_pb2.Timestamp
    reopened: int
    def __init__(self, case_id: _Optional[str] = ..., authorization: _Optional[str] = ..., payment: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., suspense: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., state: _Optional[_Union[ChargeBackState, str]] = ..., open: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., overturned: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., lost: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., gone_out: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decide_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reopened: _Optional[int] = ...) -> None: ...

class SuspenseItem(_message.Message):
    __slots__ = ("payment_reference", "direction", "amount", "open", "returned", "authorization", "proposed", "proposed_authorization", "create_time", "owner")
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    payment_reference: str
    direction: SuspenseDirection
    amount: _types_pb2.Money
    open: _types_pb2.Money
    returned: _types_pb2.Money
    authorization: str
    proposed: _types_pb2.Money
    proposed_authorization: str
    create_time: _timestamp_pb2.Timestamp
    owner: str
    def __init__(self, payment_reference: _Optional[str] = ..., direction: _Optional[_Union[SuspenseDirection, str]] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., open: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., returned: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., authorization: _Optional[str] = ..., proposed: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., proposed_authorization: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., owner: _Optional[str] = ...) -> None: ...
