from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PreviewAnswer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PREVIEW_ANSWER_UNSPECIFIED: _ClassVar[PreviewAnswer]
    PREVIEW_ANSWER_ZERO: _ClassVar[PreviewAnswer]
    PREVIEW_ANSWER_REDUCED: _ClassVar[PreviewAnswer]
    PREVIEW_ANSWER_FULL: _ClassVar[PreviewAnswer]
    PREVIEW_ANSWER_REVIEW: _ClassVar[PreviewAnswer]
    PREVIEW_ANSWER_DECLINED: _ClassVar[PreviewAnswer]
    PREVIEW_ANSWER_UNCERTAIN: _ClassVar[PreviewAnswer]

class PreviewEffect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PREVIEW_EFFECT_UNSPECIFIED: _ClassVar[PreviewEffect]
    PREVIEW_EFFECT_MILDER: _ClassVar[PreviewEffect]
    PREVIEW_EFFECT_SAME: _ClassVar[PreviewEffect]
    PREVIEW_EFFECT_STRICTER: _ClassVar[PreviewEffect]
    PREVIEW_EFFECT_DECLINED: _ClassVar[PreviewEffect]
    PREVIEW_EFFECT_UNCERTAIN: _ClassVar[PreviewEffect]
PREVIEW_ANSWER_UNSPECIFIED: PreviewAnswer
PREVIEW_ANSWER_ZERO: PreviewAnswer
PREVIEW_ANSWER_REDUCED: PreviewAnswer
PREVIEW_ANSWER_FULL: PreviewAnswer
PREVIEW_ANSWER_REVIEW: PreviewAnswer
PREVIEW_ANSWER_DECLINED: PreviewAnswer
PREVIEW_ANSWER_UNCERTAIN: PreviewAnswer
PREVIEW_EFFECT_UNSPECIFIED: PreviewEffect
PREVIEW_EFFECT_MILDER: PreviewEffect
PREVIEW_EFFECT_SAME: PreviewEffect
PREVIEW_EFFECT_STRICTER: PreviewEffect
PREVIEW_EFFECT_DECLINED: PreviewEffect
PREVIEW_EFFECT_UNCERTAIN: PreviewEffect

class PreviewRange(_message.Message):
    __slots__ = ("least", "most")
    LEAST_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    least: int
    most: int
    def __init__(self, least: _Optional[int] = ..., most: _Optional[int] = ...) -> None: ...

class PreviewDecisions(_message.Message):
    __slots__ = ("before", "after", "decisions")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    before: PreviewAnswer
    after: PreviewAnswer
    decisions: int
    def __init__(self, before: _Optional[_Union[PreviewAnswer, str]] = ..., after: _Optional[_Union[PreviewAnswer, str]] = ..., decisions: _Optional[int] = ...) -> None: ...

class PreviewAmount(_message.Message):
    __slots__ = ("currency_code", "before_minor", "after_minor")
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_MINOR_FIELD_NUMBER: _ClassVar[int]
    AFTER_MINOR_FIELD_NUMBER: _ClassVar[int]
    currency_code: str
    before_minor: int
    after_minor: PreviewRange
    def __init__(self, currency_code: _Optional[str] = ..., before_minor: _Optional[int] = ..., after_minor: _Optional[_Union[PreviewRange, _Mapping]] = ...) -> None: ...

class PreviewReason(_message.Message):
    __slots__ = ("reason", "before", "after")
    REASON_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    reason: str
    before: int
    after: PreviewRange
    def __init__(self, reason: _Optional[str] = ..., before: _Optional[int] = ..., after: _Optional[_Union[PreviewRange, _Mapping]] = ...) -> None: ...

class PreviewRentals(_message.Message):
    __slots__ = ("effect", "currency_code", "rentals", "fee_minor", "other_minor", "unpaid_minor", "written_off_minor", "lost", "late")
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    RENTALS_FIELD_NUMBER: _ClassVar[int]
    FEE_MINOR_FIELD_NUMBER: _ClassVar[int]
    OTHER_MINOR_FIELD_NUMBER: _ClassVar[int]
    UNPAID_MINOR_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_OFF_MINOR_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    effect: PreviewEffect
    currency_code: str
    rentals: int
    fee_minor: int
    other_minor: int
    unpaid_minor: int
    written_off_minor: int
    lost: int
    late: int
    def __init__(self, effect: _Optional[_Union[PreviewEffect, str]] = ..., currency_code: _Optional[str] = ..., rentals: _Optional[int] = ..., fee_minor: _Optional[int] = ..., other_minor: _Optional[int] = ..., unpaid_minor: _Optional[int] = ..., written_off_minor: _Optional[int] = ..., lost: _Optional[int] = ..., late: _Optional[int] = ...) -> None: ...

class PreviewFees(_message.Message):
    __slots__ = ("currency_code", "rentals", "charged_minor", "before_minor", "after_minor", "higher", "lower", "open_ended")
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    RENTALS_FIELD_NUMBER: _ClassVar[int]
    CHARGED_MINOR_FIELD_NUMBER: _ClassVar[int]
    BEFORE_MINOR_FIELD_NUMBER: _ClassVar[int]
    AFTER_MINOR_FIELD_NUMBER: _ClassVar[int]
    HIGHER_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    OPEN_ENDED_FIELD_NUMBER: _ClassVar[int]
    currency_code: str
    rentals: int
    charged_minor: int
    before_minor: int
    after_minor: PreviewRange
    higher: int
    lower: int
    open_ended: int
    def __init__(self, currency_code: _Optional[str] = ..., rentals: _Optional[int] = ..., charged_minor: _Optional[int] = ..., before_minor: _Optional[int] = ..., after_minor: _Optional[_Union[PreviewRange, _Mapping]] = ..., higher: _Optional[int] = ..., lower: _Optional[int] = ..., open_ended: _Optional[int] = ...) -> None: ...

class PreviewPart(_message.Message):
    __slots__ = ("product_id", "decisions", "users", "repeated", "answers", "approved_before", "approved_after", "changed", "users_affected", "cash_asked", "peak_held", "mean_held", "reasons", "happened", "fees")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    APPROVED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    USERS_AFFECTED_FIELD_NUMBER: _ClassVar[int]
    CASH_ASKED_FIELD_NUMBER: _ClassVar[int]
    PEAK_HELD_FIELD_NUMBER: _ClassVar[int]
    MEAN_HELD_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    HAPPENED_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    decisions: int
    users: int
    repeated: int
    answers: _containers.RepeatedCompositeFieldContainer[PreviewDecisions]
    approved_before: int
    approved_after: PreviewRange
    changed: PreviewRange
    users_affected: PreviewRange
    cash_asked: _containers.RepeatedCompositeFieldContainer[PreviewAmount]
    peak_held: _containers.RepeatedCompositeFieldContainer[PreviewAmount]
    mean_held: _containers.RepeatedCompositeFieldContainer[PreviewAmount]
    reasons: _containers.RepeatedCompositeFieldContainer[PreviewReason]
    happened: _containers.RepeatedCompositeFieldContainer[PreviewRentals]
    fees: _containers.RepeatedCompositeFieldContainer[PreviewFees]
    def __init__(self, product_id: _Optional[str] = ..., decisions: _Optional[int] = ..., users: _Optional[int] = ..., repeated: _Optional[int] = ..., answers: _Optional[_Iterable[_Union[PreviewDecisions, _Mapping]]] = ..., approved_before: _Optional[int] = ..., approved_after: _Optional[_Union[PreviewRange, _Mapping]] = ..., changed: _Optional[_Union[PreviewRange, _Mapping]] = ..., users_affected: _Optional[_Union[PreviewRange, _Mapping]] = ..., cash_asked: _Optional[_Iterable[_Union[PreviewAmount, _Mapping]]] = ..., peak_held: _Optional[_Iterable[_Union[PreviewAmount, _Mapping]]] = ..., mean_held: _Optional[_Iterable[_Union[PreviewAmount, _Mapping]]] = ..., reasons: _Optional[_Iterable[_Union[PreviewReason, _Mapping]]] = ..., happened: _Optional[_Iterable[_Union[PreviewRentals, _Mapping]]] = ..., fees: _Optional[_Iterable[_Union[PreviewFees, _Mapping]]] = ...) -> None: ...
