from buf.validate import validate_pb2 as _validate_pb2
from freehold.v1 import authorization_pb2 as _authorization_pb2
from freehold.v1 import charge_back_pb2 as _charge_back_pb2
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
    __slots__ = ("request_id", "name", "expected_version", "payment_reference", "amount", "rail_account", "payment")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RAIL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    payment_reference: str
    amount: _types_pb2.Money
    rail_account: str
    payment: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., payment_reference: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., rail_account: _Optional[str] = ..., payment: _Optional[str] = ...) -> None: ...

class RecordChargeBackResponse(_message.Message):
    __slots__ = ("authorization", "charge_back")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CHARGE_BACK_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    charge_back: _charge_back_pb2.ChargeBack
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., charge_back: _Optional[_Union[_charge_back_pb2.ChargeBack, _Mapping]] = ...) -> None: ...

class ResolveChargeBackRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "outcome", "reason", "case_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    outcome: DisputeOutcome
    reason: str
    case_id: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., outcome: _Optional[_Union[DisputeOutcome, str]] = ..., reason: _Optional[str] = ..., case_id: _Optional[str] = ...) -> None: ...

class ResolveChargeBackResponse(_message.Message):
    __slots__ = ("authorization", "corrections")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ...) -> None: ...

class ListChargeBacksRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "user_id", "open_only")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_ONLY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    user_id: str
    open_only: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., open_only: _Optional[bool] = ...) -> None: ...

class ListChargeBacksResponse(_message.Message):
    __slots__ = ("charge_backs", "next_page_token")
    CHARGE_BACKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    charge_backs: _containers.RepeatedCompositeFieldContainer[_charge_back_pb2.ChargeBack]
    next_page_token: str
    def __init__(self, charge_backs: _Optional[_Iterable[_Union[_charge_back_pb2.ChargeBack, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RecordUnmatchedRequest(_message.Message):
    __slots__ = ("request_id", "direction", "amount", "payment_reference", "rail_account")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RAIL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    direction: _charge_back_pb2.SuspenseDirection
    amount: _types_pb2.Money
    payment_reference: str
    rail_account: str
    def __init__(self, request_id: _Optional[str] = ..., direction: _Optional[_Union[_charge_back_pb2.SuspenseDirection, str]] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., payment_reference: _Optional[str] = ..., rail_account: _Optional[str] = ...) -> None: ...

class RecordUnmatchedResponse(_message.Message):
    __slots__ = ("item",)
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: _charge_back_pb2.SuspenseItem
    def __init__(self, item: _Optional[_Union[_charge_back_pb2.SuspenseItem, _Mapping]] = ...) -> None: ...

class MatchSuspenseRequest(_message.Message):
    __slots__ = ("request_id", "payment_reference", "amount", "name", "payment", "owner")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    payment_reference: str
    amount: _types_pb2.Money
    name: str
    payment: str
    owner: str
    def __init__(self, request_id: _Optional[str] = ..., payment_reference: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., name: _Optional[str] = ..., payment: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class MatchSuspenseResponse(_message.Message):
    __slots__ = ("authorization", "item")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    item: _charge_back_pb2.SuspenseItem
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., item: _Optional[_Union[_charge_back_pb2.SuspenseItem, _Mapping]] = ...) -> None: ...

class ListSuspenseRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "matched_too")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MATCHED_TOO_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    matched_too: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., matched_too: _Optional[bool] = ...) -> None: ...

class ListSuspenseResponse(_message.Message):
    __slots__ = ("items", "next_page_token")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_charge_back_pb2.SuspenseItem]
    next_page_token: str
    def __init__(self, items: _Optional[_Iterable[_Union[_charge_back_pb2.SuspenseItem, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

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
