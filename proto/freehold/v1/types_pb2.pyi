from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import any_pb2 as _any_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Offer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OFFER_UNSPECIFIED: _ClassVar[Offer]
    OFFER_ZERO: _ClassVar[Offer]
    OFFER_REDUCED: _ClassVar[Offer]
    OFFER_FULL: _ClassVar[Offer]

class ScoreBand(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCORE_BAND_UNSPECIFIED: _ClassVar[ScoreBand]
    SCORE_BAND_A: _ClassVar[ScoreBand]
    SCORE_BAND_B: _ClassVar[ScoreBand]
    SCORE_BAND_C: _ClassVar[ScoreBand]
    SCORE_BAND_D: _ClassVar[ScoreBand]
    SCORE_BAND_E: _ClassVar[ScoreBand]
OFFER_UNSPECIFIED: Offer
OFFER_ZERO: Offer
OFFER_REDUCED: Offer
OFFER_FULL: Offer
SCORE_BAND_UNSPECIFIED: ScoreBand
SCORE_BAND_A: ScoreBand
SCORE_BAND_B: ScoreBand
SCORE_BAND_C: ScoreBand
SCORE_BAND_D: ScoreBand
SCORE_BAND_E: ScoreBand

class Money(_message.Message):
    __slots__ = ("currency_code", "amount_minor")
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    currency_code: str
    amount_minor: int
    def __init__(self, currency_code: _Optional[str] = ..., amount_minor: _Optional[int] = ...) -> None: ...

class SignedMoney(_message.Message):
    __slots__ = ("currency_code", "amount_minor")
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    currency_code: str
    amount_minor: int
    def __init__(self, currency_code: _Optional[str] = ..., amount_minor: _Optional[int] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ...) -> None: ...
