import datetime

from buf.validate import validate_pb2 as _validate_pb2
from freehold.v1 import authorization_pb2 as _authorization_pb2
from freehold.v1 import charge_back_pb2 as _charge_back_pb2
from freehold.v1 import details_pb2 as _details_pb2
from freehold.v1 import receipt_pb2 as _receipt_pb2
from freehold.v1 import types_pb2 as _types_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthorizeRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "product_id", "asset_id", "start", "accept_offers", "pickup_window", "rental_period", "parent", "amount", "order", "price_hash", "order_fee", "user_consent_reference", "identity_hash")
    class Start(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        START_UNSPECIFIED: _ClassVar[AuthorizeRequest.Start]
        START_IMMEDIATE: _ClassVar[AuthorizeRequest.Start]
        START_ON_PICKUP: _ClassVar[AuthorizeRequest.Start]
    START_UNSPECIFIED: AuthorizeRequest.Start
    START_IMMEDIATE: AuthorizeRequest.Start
    START_ON_PICKUP: AuthorizeRequest.Start
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_OFFERS_FIELD_NUMBER: _ClassVar[int]
    PICKUP_WINDOW_FIELD_NUMBER: _ClassVar[int]
    RENTAL_PERIOD_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    PRICE_HASH_FIELD_NUMBER: _ClassVar[int]
    ORDER_FEE_FIELD_NUMBER: _ClassVar[int]
    USER_CONSENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_HASH_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    product_id: str
    asset_id: str
    start: AuthorizeRequest.Start
    accept_offers: _containers.RepeatedScalarFieldContainer[_types_pb2.Offer]
    pickup_window: _duration_pb2.Duration
    rental_period: _duration_pb2.Duration
    parent: str
    amount: _types_pb2.Money
    order: _details_pb2.Order
    price_hash: str
    order_fee: _types_pb2.Money
    user_consent_reference: str
    identity_hash: str
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., asset_id: _Optional[str] = ..., start: _Optional[_Union[AuthorizeRequest.Start, str]] = ..., accept_offers: _Optional[_Iterable[_Union[_types_pb2.Offer, str]]] = ..., pickup_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., rental_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., parent: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., order: _Optional[_Union[_details_pb2.Order, _Mapping]] = ..., price_hash: _Optional[str] = ..., order_fee: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., user_consent_reference: _Optional[str] = ..., identity_hash: _Optional[str] = ...) -> None: ...

class Cut(_message.Message):
    __slots__ = ("field", "product_id", "granted")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    field: str
    product_id: str
    granted: _duration_pb2.Duration
    def __init__(self, field: _Optional[str] = ..., product_id: _Optional[str] = ..., granted: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AuthorizeResponse(_message.Message):
    __slots__ = ("authorization", "cuts", "price_hash")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CUTS_FIELD_NUMBER: _ClassVar[int]
    PRICE_HASH_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    cuts: _containers.RepeatedCompositeFieldContainer[Cut]
    price_hash: str
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., cuts: _Optional[_Iterable[_Union[Cut, _Mapping]]] = ..., price_hash: _Optional[str] = ...) -> None: ...

class BatchAuthorizeRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[AuthorizeRequest]
    def __init__(self, items: _Optional[_Iterable[_Union[AuthorizeRequest, _Mapping]]] = ...) -> None: ...

class AuthorizeOutcome(_message.Message):
    __slots__ = ("response", "error", "first_answer_time")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FIRST_ANSWER_TIME_FIELD_NUMBER: _ClassVar[int]
    response: AuthorizeResponse
    error: _types_pb2.Status
    first_answer_time: _timestamp_pb2.Timestamp
    def __init__(self, response: _Optional[_Union[AuthorizeResponse, _Mapping]] = ..., error: _Optional[_Union[_types_pb2.Status, _Mapping]] = ..., first_answer_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BatchAuthorizeResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[AuthorizeOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[AuthorizeOutcome, _Mapping]]] = ...) -> None: ...

class AuthorizeGroupRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "items", "start", "accept_offers", "pickup_window", "rental_period", "order", "identity_hash")
    class Item(_message.Message):
        __slots__ = ("product_id", "asset_id", "price_hash", "order_fee")
        PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
        ASSET_ID_FIELD_NUMBER: _ClassVar[int]
        PRICE_HASH_FIELD_NUMBER: _ClassVar[int]
        ORDER_FEE_FIELD_NUMBER: _ClassVar[int]
        product_id: str
        asset_id: str
        price_hash: str
        order_fee: _types_pb2.Money
        def __init__(self, product_id: _Optional[str] = ..., asset_id: _Optional[str] = ..., price_hash: _Optional[str] = ..., order_fee: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_OFFERS_FIELD_NUMBER: _ClassVar[int]
    PICKUP_WINDOW_FIELD_NUMBER: _ClassVar[int]
    RENTAL_PERIOD_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_HASH_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    items: _containers.RepeatedCompositeFieldContainer[AuthorizeGroupRequest.Item]
    start: AuthorizeRequest.Start
    accept_offers: _containers.RepeatedScalarFieldContainer[_types_pb2.Offer]
    pickup_window: _duration_pb2.Duration
    rental_period: _duration_pb2.Duration
    order: _details_pb2.Order
    identity_hash: str
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[AuthorizeGroupRequest.Item, _Mapping]]] = ..., start: _Optional[_Union[AuthorizeRequest.Start, str]] = ..., accept_offers: _Optional[_Iterable[_Union[_types_pb2.Offer, str]]] = ..., pickup_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., rental_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., order: _Optional[_Union[_details_pb2.Order, _Mapping]] = ..., identity_hash: _Optional[str] = ...) -> None: ...

class AuthorizeGroupResponse(_message.Message):
    __slots__ = ("authorizations", "cuts")
    AUTHORIZATIONS_FIELD_NUMBER: _ClassVar[int]
    CUTS_FIELD_NUMBER: _ClassVar[int]
    authorizations: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Authorization]
    cuts: _containers.RepeatedCompositeFieldContainer[Cut]
    def __init__(self, authorizations: _Optional[_Iterable[_Union[_authorization_pb2.Authorization, _Mapping]]] = ..., cuts: _Optional[_Iterable[_Union[Cut, _Mapping]]] = ...) -> None: ...

class ConfirmAuthorizationRequest(_message.Message):
    __slots__ = ("request_id", "name", "payment_reference", "paid", "expected_version", "rail_account")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    RAIL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    payment_reference: str
    paid: _types_pb2.Money
    expected_version: int
    rail_account: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., payment_reference: _Optional[str] = ..., paid: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., expected_version: _Optional[int] = ..., rail_account: _Optional[str] = ...) -> None: ...

class ConfirmAuthorizationResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class StartRentalRequest(_message.Message):
    __slots__ = ("request_id", "name", "asset_id", "expected_version", "occurred_at", "place")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    asset_id: str
    expected_version: int
    occurred_at: _timestamp_pb2.Timestamp
    place: _details_pb2.ItemPlace
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., asset_id: _Optional[str] = ..., expected_version: _Optional[int] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., place: _Optional[_Union[_details_pb2.ItemPlace, _Mapping]] = ...) -> None: ...

class StartRentalResponse(_message.Message):
    __slots__ = ("authorization", "reservation")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    reservation: str
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., reservation: _Optional[str] = ...) -> None: ...

class GetAuthorizationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetAuthorizationResponse(_message.Message):
    __slots__ = ("authorization", "captures", "corrections", "reservation", "attestations", "charge_backs", "consents")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CAPTURES_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    ATTESTATIONS_FIELD_NUMBER: _ClassVar[int]
    CHARGE_BACKS_FIELD_NUMBER: _ClassVar[int]
    CONSENTS_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    captures: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Capture]
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    reservation: str
    attestations: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Attestation]
    charge_backs: _containers.RepeatedCompositeFieldContainer[_charge_back_pb2.ChargeBack]
    consents: _containers.RepeatedCompositeFieldContainer[Consent]
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., captures: _Optional[_Iterable[_Union[_authorization_pb2.Capture, _Mapping]]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ..., reservation: _Optional[str] = ..., attestations: _Optional[_Iterable[_Union[_authorization_pb2.Attestation, _Mapping]]] = ..., charge_backs: _Optional[_Iterable[_Union[_charge_back_pb2.ChargeBack, _Mapping]]] = ..., consents: _Optional[_Iterable[_Union[Consent, _Mapping]]] = ...) -> None: ...

class Consent(_message.Message):
    __slots__ = ("version", "user_consent_reference", "create_time")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    USER_CONSENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    version: int
    user_consent_reference: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, version: _Optional[int] = ..., user_consent_reference: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetReceiptRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetReceiptResponse(_message.Message):
    __slots__ = ("receipt", "corrections", "product_revision", "price_hash")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_REVISION_FIELD_NUMBER: _ClassVar[int]
    PRICE_HASH_FIELD_NUMBER: _ClassVar[int]
    receipt: _receipt_pb2.Receipt
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    product_revision: int
    price_hash: str
    def __init__(self, receipt: _Optional[_Union[_receipt_pb2.Receipt, _Mapping]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ..., product_revision: _Optional[int] = ..., price_hash: _Optional[str] = ...) -> None: ...

class ListAuthorizationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "user_id", "state", "lapse", "order_reference")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LAPSE_FIELD_NUMBER: _ClassVar[int]
    ORDER_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    user_id: str
    state: _authorization_pb2.Authorization.State
    lapse: _authorization_pb2.Lapse
    order_reference: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., state: _Optional[_Union[_authorization_pb2.Authorization.State, str]] = ..., lapse: _Optional[_Union[_authorization_pb2.Lapse, str]] = ..., order_reference: _Optional[str] = ...) -> None: ...

class ListAuthorizationsResponse(_message.Message):
    __slots__ = ("authorizations", "next_page_token")
    AUTHORIZATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    authorizations: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Authorization]
    next_page_token: str
    def __init__(self, authorizations: _Optional[_Iterable[_Union[_authorization_pb2.Authorization, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class IncrementAuthorizationRequest(_message.Message):
    __slots__ = ("request_id", "name", "amount", "expected_version", "payment_reference", "paid", "rail_account", "user_consent_reference")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    RAIL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    USER_CONSENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    amount: _types_pb2.Money
    expected_version: int
    payment_reference: str
    paid: _types_pb2.Money
    rail_account: str
    user_consent_reference: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., expected_version: _Optional[int] = ..., payment_reference: _Optional[str] = ..., paid: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., rail_account: _Optional[str] = ..., user_consent_reference: _Optional[str] = ...) -> None: ...

class IncrementAuthorizationResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class DecreaseAuthorizationRequest(_message.Message):
    __slots__ = ("request_id", "name", "amount", "expected_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    amount: _types_pb2.Money
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., expected_version: _Optional[int] = ...) -> None: ...

class DecreaseAuthorizationResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ExtendRentalRequest(_message.Message):
    __slots__ = ("request_id", "name", "duration", "expected_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    duration: _duration_pb2.Duration
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., expected_version: _Optional[int] = ...) -> None: ...

class ExtendRentalResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class SettleAuthorizationRequest(_message.Message):
    __slots__ = ("request_id", "name", "amount", "usage", "final", "expected_version", "line_items", "occurred_at", "purpose", "business_reference", "return_kind", "evidence", "place", "user_consent_reference")
    class ReturnKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RETURN_KIND_UNSPECIFIED: _ClassVar[SettleAuthorizationRequest.ReturnKind]
        RETURN_KIND_DOCKED: _ClassVar[SettleAuthorizationRequest.ReturnKind]
        RETURN_KIND_BY_POST: _ClassVar[SettleAuthorizationRequest.ReturnKind]
        RETURN_KIND_BY_HAND: _ClassVar[SettleAuthorizationRequest.ReturnKind]
    RETURN_KIND_UNSPECIFIED: SettleAuthorizationRequest.ReturnKind
    RETURN_KIND_DOCKED: SettleAuthorizationRequest.ReturnKind
    RETURN_KIND_BY_POST: SettleAuthorizationRequest.ReturnKind
    RETURN_KIND_BY_HAND: SettleAuthorizationRequest.ReturnKind
    class Usage(_message.Message):
        __slots__ = ("end_time",)
        END_TIME_FIELD_NUMBER: _ClassVar[int]
        end_time: _timestamp_pb2.Timestamp
        def __init__(self, end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    class LineItem(_message.Message):
        __slots__ = ("description", "amount", "item")
        DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
        AMOUNT_FIELD_NUMBER: _ClassVar[int]
        ITEM_FIELD_NUMBER: _ClassVar[int]
        description: str
        amount: _types_pb2.SignedMoney
        item: str
        def __init__(self, description: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., item: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    LINE_ITEMS_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RETURN_KIND_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    USER_CONSENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    amount: _types_pb2.Money
    usage: SettleAuthorizationRequest.Usage
    final: bool
    expected_version: int
    line_items: _containers.RepeatedCompositeFieldContainer[SettleAuthorizationRequest.LineItem]
    occurred_at: _timestamp_pb2.Timestamp
    purpose: _authorization_pb2.CapturePurpose
    business_reference: str
    return_kind: SettleAuthorizationRequest.ReturnKind
    evidence: str
    place: _details_pb2.ItemPlace
    user_consent_reference: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., usage: _Optional[_Union[SettleAuthorizationRequest.Usage, _Mapping]] = ..., final: _Optional[bool] = ..., expected_version: _Optional[int] = ..., line_items: _Optional[_Iterable[_Union[SettleAuthorizationRequest.LineItem, _Mapping]]] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., purpose: _Optional[_Union[_authorization_pb2.CapturePurpose, str]] = ..., business_reference: _Optional[str] = ..., return_kind: _Optional[_Union[SettleAuthorizationRequest.ReturnKind, str]] = ..., evidence: _Optional[str] = ..., place: _Optional[_Union[_details_pb2.ItemPlace, _Mapping]] = ..., user_consent_reference: _Optional[str] = ...) -> None: ...

class Fee(_message.Message):
    __slots__ = ("lines", "total")
    class Line(_message.Message):
        __slots__ = ("item", "quantity", "unit", "amount", "minutes", "from_minute", "times", "place")
        class Item(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            ITEM_UNSPECIFIED: _ClassVar[Fee.Line.Item]
            ITEM_FULL_DAYS: _ClassVar[Fee.Line.Item]
            ITEM_START_FEE: _ClassVar[Fee.Line.Item]
            ITEM_FREE_MINUTES: _ClassVar[Fee.Line.Item]
            ITEM_INTERVALS: _ClassVar[Fee.Line.Item]
            ITEM_DAY_CAP_REDUCTION: _ClassVar[Fee.Line.Item]
            ITEM_BUY_OUT_REDUCTION: _ClassVar[Fee.Line.Item]
            ITEM_PAUSED_MINUTES: _ClassVar[Fee.Line.Item]
            ITEM_WAIVED: _ClassVar[Fee.Line.Item]
            ITEM_QUOTA_MINUTES: _ClassVar[Fee.Line.Item]
            ITEM_FIRST_UNIT: _ClassVar[Fee.Line.Item]
            ITEM_STARTED_UNITS: _ClassVar[Fee.Line.Item]
            ITEM_COMPLETED_UNITS: _ClassVar[Fee.Line.Item]
            ITEM_ONE_TIME: _ClassVar[Fee.Line.Item]
            ITEM_CAP_REDUCTION: _ClassVar[Fee.Line.Item]
            ITEM_RESERVATION: _ClassVar[Fee.Line.Item]
            ITEM_RESERVATION_CAP_REDUCTION: _ClassVar[Fee.Line.Item]
            ITEM_CANCELLATION_FEE: _ClassVar[Fee.Line.Item]
            ITEM_PLACE: _ClassVar[Fee.Line.Item]
            ITEM_ORDER_FEE_REDUCTION: _ClassVar[Fee.Line.Item]
            ITEM_PAID_ELSEWHERE: _ClassVar[Fee.Line.Item]
            ITEM_PASS_MINUTES: _ClassVar[Fee.Line.Item]
            ITEM_PASS_DISCOUNT: _ClassVar[Fee.Line.Item]
        ITEM_UNSPECIFIED: Fee.Line.Item
        ITEM_FULL_DAYS: Fee.Line.Item
        ITEM_START_FEE: Fee.Line.Item
        ITEM_FREE_MINUTES: Fee.Line.Item
        ITEM_INTERVALS: Fee.Line.Item
        ITEM_DAY_CAP_REDUCTION: Fee.Line.Item
        ITEM_BUY_OUT_REDUCTION: Fee.Line.Item
        ITEM_PAUSED_MINUTES: Fee.Line.Item
        ITEM_WAIVED: Fee.Line.Item
        ITEM_QUOTA_MINUTES: Fee.Line.Item
        ITEM_FIRST_UNIT: Fee.Line.Item
        ITEM_STARTED_UNITS: Fee.Line.Item
        ITEM_COMPLETED_UNITS: Fee.Line.Item
        ITEM_ONE_TIME: Fee.Line.Item
        ITEM_CAP_REDUCTION: Fee.Line.Item
        ITEM_RESERVATION: Fee.Line.Item
        ITEM_RESERVATION_CAP_REDUCTION: Fee.Line.Item
        ITEM_CANCELLATION_FEE: Fee.Line.Item
        ITEM_PLACE: Fee.Line.Item
        ITEM_ORDER_FEE_REDUCTION: Fee.Line.Item
        ITEM_PAID_ELSEWHERE: Fee.Line.Item
        ITEM_PASS_MINUTES: Fee.Line.Item
        ITEM_PASS_DISCOUNT: Fee.Line.Item
        ITEM_FIELD_NUMBER: _ClassVar[int]
        QUANTITY_FIELD_NUMBER: _ClassVar[int]
        UNIT_FIELD_NUMBER: _ClassVar[int]
        AMOUNT_FIELD_NUMBER: _ClassVar[int]
        MINUTES_FIELD_NUMBER: _ClassVar[int]
        FROM_MINUTE_FIELD_NUMBER: _ClassVar[int]
        TIMES_FIELD_NUMBER: _ClassVar[int]
        PLACE_FIELD_NUMBER: _ClassVar[int]
        item: Fee.Line.Item
        quantity: int
        unit: _types_pb2.SignedMoney
        amount: _types_pb2.SignedMoney
        minutes: int
        from_minute: int
        times: str
        place: str
        def __init__(self, item: _Optional[_Union[Fee.Line.Item, str]] = ..., quantity: _Optional[int] = ..., unit: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., amount: _Optional[_Union[_types_pb2.SignedMoney, _Mapping]] = ..., minutes: _Optional[int] = ..., from_minute: _Optional[int] = ..., times: _Optional[str] = ..., place: _Optional[str] = ...) -> None: ...
    LINES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[Fee.Line]
    total: _types_pb2.Money
    def __init__(self, lines: _Optional[_Iterable[_Union[Fee.Line, _Mapping]]] = ..., total: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...

class SettleAuthorizationResponse(_message.Message):
    __slots__ = ("authorization", "fee", "capture", "debt", "handover")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    FEE_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    DEBT_FIELD_NUMBER: _ClassVar[int]
    HANDOVER_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    fee: Fee
    capture: _authorization_pb2.Capture
    debt: str
    handover: _authorization_pb2.Attestation
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., fee: _Optional[_Union[Fee, _Mapping]] = ..., capture: _Optional[_Union[_authorization_pb2.Capture, _Mapping]] = ..., debt: _Optional[str] = ..., handover: _Optional[_Union[_authorization_pb2.Attestation, _Mapping]] = ...) -> None: ...

class BatchSettleRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[SettleAuthorizationRequest]
    def __init__(self, items: _Optional[_Iterable[_Union[SettleAuthorizationRequest, _Mapping]]] = ...) -> None: ...

class SettleOutcome(_message.Message):
    __slots__ = ("response", "error", "first_answer_time")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FIRST_ANSWER_TIME_FIELD_NUMBER: _ClassVar[int]
    response: SettleAuthorizationResponse
    error: _types_pb2.Status
    first_answer_time: _timestamp_pb2.Timestamp
    def __init__(self, response: _Optional[_Union[SettleAuthorizationResponse, _Mapping]] = ..., error: _Optional[_Union[_types_pb2.Status, _Mapping]] = ..., first_answer_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BatchSettleResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[SettleOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[SettleOutcome, _Mapping]]] = ...) -> None: ...

class ReverseAuthorizationRequest(_message.Message):
    __slots__ = ("request_id", "name", "origin", "expected_version", "user_cancels")
    class Origin(_message.Message):
        __slots__ = ("user_id", "authorize_request_id")
        USER_ID_FIELD_NUMBER: _ClassVar[int]
        AUTHORIZE_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
        user_id: str
        authorize_request_id: str
        def __init__(self, user_id: _Optional[str] = ..., authorize_request_id: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    USER_CANCELS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    origin: ReverseAuthorizationRequest.Origin
    expected_version: int
    user_cancels: bool
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., origin: _Optional[_Union[ReverseAuthorizationRequest.Origin, _Mapping]] = ..., expected_version: _Optional[int] = ..., user_cancels: _Optional[bool] = ...) -> None: ...

class ReverseAuthorizationResponse(_message.Message):
    __slots__ = ("authorization", "tombstone")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONE_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    tombstone: bool
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., tombstone: _Optional[bool] = ...) -> None: ...

class ClaimReturnRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "occurred_at", "evidence")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    occurred_at: _timestamp_pb2.Timestamp
    evidence: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., evidence: _Optional[str] = ...) -> None: ...

class ClaimReturnResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ContestReturnRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "evidence")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    evidence: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., evidence: _Optional[str] = ...) -> None: ...

class ContestReturnResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ReportLostRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class ReportLostResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ReportFoundRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "occurred_at", "evidence", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    occurred_at: _timestamp_pb2.Timestamp
    evidence: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., evidence: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReportFoundResponse(_message.Message):
    __slots__ = ("authorization", "corrections")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ...) -> None: ...

class PauseRentalRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "cause", "source", "evidence", "occurred_at", "resumed_at")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    RESUMED_AT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    cause: _authorization_pb2.Cause
    source: _authorization_pb2.Source
    evidence: str
    occurred_at: _timestamp_pb2.Timestamp
    resumed_at: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., cause: _Optional[_Union[_authorization_pb2.Cause, str]] = ..., source: _Optional[_Union[_authorization_pb2.Source, str]] = ..., evidence: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resumed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PauseRentalResponse(_message.Message):
    __slots__ = ("authorization", "pause")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    pause: _authorization_pb2.Attestation
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., pause: _Optional[_Union[_authorization_pb2.Attestation, _Mapping]] = ...) -> None: ...

class ResumeRentalRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "evidence", "occurred_at")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    evidence: str
    occurred_at: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., evidence: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ResumeRentalResponse(_message.Message):
    __slots__ = ("authorization", "resume")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    resume: _authorization_pb2.Attestation
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., resume: _Optional[_Union[_authorization_pb2.Attestation, _Mapping]] = ...) -> None: ...

class WaiveFeeRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "cause", "source", "evidence", "amount")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    cause: _authorization_pb2.Cause
    source: _authorization_pb2.Source
    evidence: str
    amount: _types_pb2.Money
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., cause: _Optional[_Union[_authorization_pb2.Cause, str]] = ..., source: _Optional[_Union[_authorization_pb2.Source, str]] = ..., evidence: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...

class WaiveFeeResponse(_message.Message):
    __slots__ = ("authorization", "waiver")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    WAIVER_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    waiver: _authorization_pb2.Attestation
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., waiver: _Optional[_Union[_authorization_pb2.Attestation, _Mapping]] = ...) -> None: ...

class BookDebtRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "amount", "business_reference", "evidence", "user_consent_reference")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    USER_CONSENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    amount: _types_pb2.Money
    business_reference: str
    evidence: str
    user_consent_reference: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., business_reference: _Optional[str] = ..., evidence: _Optional[str] = ..., user_consent_reference: _Optional[str] = ...) -> None: ...

class BookDebtResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class LowerChargeRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "amount", "capture", "reason", "business_reference")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    amount: _types_pb2.Money
    capture: int
    reason: str
    business_reference: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., capture: _Optional[int] = ..., reason: _Optional[str] = ..., business_reference: _Optional[str] = ...) -> None: ...

class LowerChargeResponse(_message.Message):
    __slots__ = ("authorization", "corrections")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ...) -> None: ...

class RefundChargeRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "amount", "capture", "reason", "business_reference")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    amount: _types_pb2.Money
    capture: int
    reason: str
    business_reference: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., capture: _Optional[int] = ..., reason: _Optional[str] = ..., business_reference: _Optional[str] = ...) -> None: ...

class RefundChargeResponse(_message.Message):
    __slots__ = ("authorization", "corrections")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    corrections: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Correction]
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., corrections: _Optional[_Iterable[_Union[_authorization_pb2.Correction, _Mapping]]] = ...) -> None: ...

class RecordPaidElsewhereRequest(_message.Message):
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

class RecordPaidElsewhereResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class QuoteAuthorizationRequest(_message.Message):
    __slots__ = ("user_id", "items", "start", "accept_offers", "pickup_window", "rental_period", "order", "identity_hash")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_OFFERS_FIELD_NUMBER: _ClassVar[int]
    PICKUP_WINDOW_FIELD_NUMBER: _ClassVar[int]
    RENTAL_PERIOD_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_HASH_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    items: _containers.RepeatedCompositeFieldContainer[AuthorizeGroupRequest.Item]
    start: AuthorizeRequest.Start
    accept_offers: _containers.RepeatedScalarFieldContainer[_types_pb2.Offer]
    pickup_window: _duration_pb2.Duration
    rental_period: _duration_pb2.Duration
    order: _details_pb2.Order
    identity_hash: str
    def __init__(self, user_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[AuthorizeGroupRequest.Item, _Mapping]]] = ..., start: _Optional[_Union[AuthorizeRequest.Start, str]] = ..., accept_offers: _Optional[_Iterable[_Union[_types_pb2.Offer, str]]] = ..., pickup_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., rental_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., order: _Optional[_Union[_details_pb2.Order, _Mapping]] = ..., identity_hash: _Optional[str] = ...) -> None: ...

class QuoteAuthorizationResponse(_message.Message):
    __slots__ = ("state", "offer", "reasons", "score_band", "items", "cuts", "quote_time")
    class Item(_message.Message):
        __slots__ = ("product_id", "credit", "cash", "least_cost", "most_cost", "price_hash", "product_revision", "policy_revision", "price_place", "most_fee")
        PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
        CREDIT_FIELD_NUMBER: _ClassVar[int]
        CASH_FIELD_NUMBER: _ClassVar[int]
        LEAST_COST_FIELD_NUMBER: _ClassVar[int]
        MOST_COST_FIELD_NUMBER: _ClassVar[int]
        PRICE_HASH_FIELD_NUMBER: _ClassVar[int]
        PRODUCT_REVISION_FIELD_NUMBER: _ClassVar[int]
        POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
        PRICE_PLACE_FIELD_NUMBER: _ClassVar[int]
        MOST_FEE_FIELD_NUMBER: _ClassVar[int]
        product_id: str
        credit: _types_pb2.Money
        cash: _types_pb2.Money
        least_cost: _types_pb2.Money
        most_cost: _types_pb2.Money
        price_hash: str
        product_revision: int
        policy_revision: int
        price_place: str
        most_fee: _types_pb2.Money
        def __init__(self, product_id: _Optional[str] = ..., credit: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., cash: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., least_cost: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., most_cost: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., price_hash: _Optional[str] = ..., product_revision: _Optional[int] = ..., policy_revision: _Optional[int] = ..., price_place: _Optional[str] = ..., most_fee: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...
    STATE_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    SCORE_BAND_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CUTS_FIELD_NUMBER: _ClassVar[int]
    QUOTE_TIME_FIELD_NUMBER: _ClassVar[int]
    state: _authorization_pb2.Authorization.State
    offer: _types_pb2.Offer
    reasons: _containers.RepeatedScalarFieldContainer[str]
    score_band: _types_pb2.ScoreBand
    items: _containers.RepeatedCompositeFieldContainer[QuoteAuthorizationResponse.Item]
    cuts: _containers.RepeatedCompositeFieldContainer[Cut]
    quote_time: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[_Union[_authorization_pb2.Authorization.State, str]] = ..., offer: _Optional[_Union[_types_pb2.Offer, str]] = ..., reasons: _Optional[_Iterable[str]] = ..., score_band: _Optional[_Union[_types_pb2.ScoreBand, str]] = ..., items: _Optional[_Iterable[_Union[QuoteAuthorizationResponse.Item, _Mapping]]] = ..., cuts: _Optional[_Iterable[_Union[Cut, _Mapping]]] = ..., quote_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QuoteFeeRequest(_message.Message):
    __slots__ = ("product_id", "name", "start_time", "end_time", "pauses", "reserve_time", "station")
    class Pause(_message.Message):
        __slots__ = ("start_time", "end_time")
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        END_TIME_FIELD_NUMBER: _ClassVar[int]
        start_time: _timestamp_pb2.Timestamp
        end_time: _timestamp_pb2.Timestamp
        def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PAUSES_FIELD_NUMBER: _ClassVar[int]
    RESERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    STATION_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    name: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    pauses: _containers.RepeatedCompositeFieldContainer[QuoteFeeRequest.Pause]
    reserve_time: _timestamp_pb2.Timestamp
    station: str
    def __init__(self, product_id: _Optional[str] = ..., name: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pauses: _Optional[_Iterable[_Union[QuoteFeeRequest.Pause, _Mapping]]] = ..., reserve_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., station: _Optional[str] = ...) -> None: ...

class QuoteFeeResponse(_message.Message):
    __slots__ = ("bill", "product_id", "price_hash", "product_revision", "captured", "quote_time")
    BILL_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_HASH_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_REVISION_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_FIELD_NUMBER: _ClassVar[int]
    QUOTE_TIME_FIELD_NUMBER: _ClassVar[int]
    bill: _receipt_pb2.Receipt
    product_id: str
    price_hash: str
    product_revision: int
    captured: _types_pb2.Money
    quote_time: _timestamp_pb2.Timestamp
    def __init__(self, bill: _Optional[_Union[_receipt_pb2.Receipt, _Mapping]] = ..., product_id: _Optional[str] = ..., price_hash: _Optional[str] = ..., product_revision: _Optional[int] = ..., captured: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., quote_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
