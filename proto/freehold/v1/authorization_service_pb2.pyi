import datetime

from buf.validate import validate_pb2 as _validate_pb2
from freehold.v1 import authorization_pb2 as _authorization_pb2
from freehold.v1 import types_pb2 as _types_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthorizeRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "product_id", "asset_id", "start", "accept_offers", "pickup_window")
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
    request_id: str
    user_id: str
    product_id: str
    asset_id: str
    start: AuthorizeRequest.Start
    accept_offers: _containers.RepeatedScalarFieldContainer[_types_pb2.Offer]
    pickup_window: _duration_pb2.Duration
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., product_id: _Optional[str] = ..., asset_id: _Optional[str] = ..., start: _Optional[_Union[AuthorizeRequest.Start, str]] = ..., accept_offers: _Optional[_Iterable[_Union[_types_pb2.Offer, str]]] = ..., pickup_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AuthorizeResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ConfirmAuthorizationRequest(_message.Message):
    __slots__ = ("request_id", "name", "payment_reference", "paid", "expected_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    payment_reference: str
    paid: _types_pb2.Money
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., payment_reference: _Optional[str] = ..., paid: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., expected_version: _Optional[int] = ...) -> None: ...

class ConfirmAuthorizationResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class StartRentalRequest(_message.Message):
    __slots__ = ("request_id", "name", "asset_id", "expected_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    asset_id: str
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., asset_id: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class StartRentalResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class GetAuthorizationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetAuthorizationResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ListAuthorizationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "user_id", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    user_id: str
    state: _authorization_pb2.Authorization.State
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., state: _Optional[_Union[_authorization_pb2.Authorization.State, str]] = ...) -> None: ...

class ListAuthorizationsResponse(_message.Message):
    __slots__ = ("authorizations", "next_page_token")
    AUTHORIZATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    authorizations: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Authorization]
    next_page_token: str
    def __init__(self, authorizations: _Optional[_Iterable[_Union[_authorization_pb2.Authorization, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SettleAuthorizationRequest(_message.Message):
    __slots__ = ("request_id", "name", "amount", "final", "expected_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    amount: _types_pb2.Money
    final: bool
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., final: _Optional[bool] = ..., expected_version: _Optional[int] = ...) -> None: ...

class SettleAuthorizationResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class ReverseAuthorizationRequest(_message.Message):
    __slots__ = ("request_id", "name", "origin", "expected_version")
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
    request_id: str
    name: str
    origin: ReverseAuthorizationRequest.Origin
    expected_version: int
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., origin: _Optional[_Union[ReverseAuthorizationRequest.Origin, _Mapping]] = ..., expected_version: _Optional[int] = ...) -> None: ...

class ReverseAuthorizationResponse(_message.Message):
    __slots__ = ("authorization", "tombstone")
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONE_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    tombstone: bool
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ..., tombstone: _Optional[bool] = ...) -> None: ...
