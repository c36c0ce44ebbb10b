from buf.validate import validate_pb2 as _validate_pb2
from freehold.v1 import authorization_pb2 as _authorization_pb2
from freehold.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DisputeOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPUTE_OUTCOME_UNSPECIFIED: _ClassVar[DisputeOutcome]
    DISPUTE_OUTCOME_USER_LOST: _ClassVar[DisputeOutcome]
    DISPUTE_OUTCOME_USER_WON: _ClassVar[DisputeOutcome]
    DISPUTE_OUTCOME_GOODWILL: _ClassVar[DisputeOutcome]
DISPUTE_OUTCOME_UNSPECIFIED: DisputeOutcome
DISPUTE_OUTCOME_USER_LOST: DisputeOutcome
DISPUTE_OUTCOME_USER_WON: DisputeOutcome
DISPUTE_OUTCOME_GOODWILL: DisputeOutcome

class OpenDisputeRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "amount", "capture", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    amount: _types_pb2.Money
    capture: int
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., capture: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class OpenDisputeResponse(_message.Message):
    __slots__ = ("authorization", "corrections")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ...) -> None: ...

class ResolveDisputeRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "outcome", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    outcome: DisputeOutcome
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., outcome: _Optional[_Union[DisputeOutcome, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ResolveDisputeResponse(_message.Message):
    __slots__ = ("authorization", "corrections")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ...) -> None: ...

class RecordChargeBackRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "payment_reference", "amount", "rail_account")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RAIL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    payment_reference: str
    amount: _types_pb2.Money
    rail_account: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., payment_reference: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., rail_account: _Optional[str] = ...) -> None: ...

class RecordChargeBackResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ResolveChargeBackRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "outcome", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    outcome: DisputeOutcome
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., outcome: _Optional[_Union[DisputeOutcome, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ResolveChargeBackResponse(_message.Message):
    __slots__ = ("authorization", "corrections")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ...) -> None: ...

class SetProvisionRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "amount")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    amount: _types_pb2.Money
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...

class SetProvisionResponse(_message.Message):
    __slots__ = ("authorization", "provisioned")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    PROVISIONED_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    provisioned: _types_pb2.Money
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., provisioned: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...

class ProposeWriteOffRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class ProposeWriteOffResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ApproveWriteOffRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class ApproveWriteOffResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ForgiveChargeRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ForgiveChargeResponse(_message.Message):
    __slots__ = ("authorization", "corrections")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ...) -> None: ...

class PayOutRefundRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "amount")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    amount: _types_pb2.Money
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...

class PayOutRefundResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class PayOutOperatorRequest(_message.Message):
    __slots__ = ("request_id", "operator_id", "amount", "payment_reference", "rail_account")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RAIL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    operator_id: str
    amount: _types_pb2.Money
    payment_reference: str
    rail_account: str
    def __init__(self, request_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., payment_reference: _Optional[str] = ..., rail_account: _Optional[str] = ...) -> None: ...

class PayOutOperatorResponse(_message.Message):
    __slots__ = ("paid", "payable")
    PAID_FIELD_NUMBER: _ClassVar[int]
    PAYABLE_FIELD_NUMBER: _ClassVar[int]
    paid: _types_pb2.Money
    payable: _types_pb2.SignedMoney
    def __init__(self, paid: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., payable: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ...) -> None: ...

class RecordOperatorPaymentRequest(_message.Message):
    __slots__ = ("request_id", "operator_id", "amount", "payment_reference", "rail_account")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RAIL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    operator_id: str
    amount: _types_pb2.Money
    payment_reference: str
    rail_account: str
    def __init__(self, request_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., payment_reference: _Optional[str] = ..., rail_account: _Optional[str] = ...) -> None: ...

class RecordOperatorPaymentResponse(_message.Message):
    __slots__ = ("paid", "payable")
    PAID_FIELD_NUMBER: _ClassVar[int]
    PAYABLE_FIELD_NUMBER: _ClassVar[int]
    paid: _types_pb2.Money
    payable: _types_pb2.SignedMoney
    def __init__(self, paid: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., payable: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ...) -> None: ...

class GetOperatorBalanceRequest(_message.Message):
    __slots__ = ("operator_id",)
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    def __init__(self, operator_id: _Optional[str] = ...) -> None: ...

class GetOperatorBalanceResponse(_message.Message):
    __slots__ = ("payables",)
    PAYABLES_FIELD_NUMBER: _ClassVar[int]
    payables: _containers.RepeatedCompositeFieldContainer[_types_pb2.SignedMoney]
    def __init__(self, payables: _Optional[_Iterable[_Union[_types_pb2.SignedMoney, _Mapping]]] = ...) -> None: ...
