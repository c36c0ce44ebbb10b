import datetime

from buf.validate import validate_pb2 as _validate_pb2
from freehold.v1 import authorization_pb2 as _authorization_pb2
from freehold.v1 import types_pb2 as _types_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReviewReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVIEW_REASON_UNSPECIFIED: _ClassVar[ReviewReason]
    REVIEW_REASON_IDENTITY: _ClassVar[ReviewReason]
    REVIEW_REASON_INFORMATION: _ClassVar[ReviewReason]
    REVIEW_REASON_MEANS: _ClassVar[ReviewReason]
    REVIEW_REASON_HISTORY: _ClassVar[ReviewReason]
    REVIEW_REASON_FRAUD: _ClassVar[ReviewReason]
    REVIEW_REASON_ORDER: _ClassVar[ReviewReason]
    REVIEW_REASON_EXCEPTION: _ClassVar[ReviewReason]
    REVIEW_REASON_OTHER: _ClassVar[ReviewReason]

class Standing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STANDING_UNSPECIFIED: _ClassVar[Standing]
    STANDING_NORMAL: _ClassVar[Standing]
    STANDING_WATCHED: _ClassVar[Standing]
    STANDING_SUSPENDED: _ClassVar[Standing]

class LimitBasis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_BASIS_UNSPECIFIED: _ClassVar[LimitBasis]
    LIMIT_BASIS_SCORE: _ClassVar[LimitBasis]
    LIMIT_BASIS_NO_SCORE: _ClassVar[LimitBasis]
    LIMIT_BASIS_NOT_KEPT: _ClassVar[LimitBasis]
REVIEW_REASON_UNSPECIFIED: ReviewReason
REVIEW_REASON_IDENTITY: ReviewReason
REVIEW_REASON_INFORMATION: ReviewReason
REVIEW_REASON_MEANS: ReviewReason
REVIEW_REASON_HISTORY: ReviewReason
REVIEW_REASON_FRAUD: ReviewReason
REVIEW_REASON_ORDER: ReviewReason
REVIEW_REASON_EXCEPTION: ReviewReason
REVIEW_REASON_OTHER: ReviewReason
STANDING_UNSPECIFIED: Standing
STANDING_NORMAL: Standing
STANDING_WATCHED: Standing
STANDING_SUSPENDED: Standing
LIMIT_BASIS_UNSPECIFIED: LimitBasis
LIMIT_BASIS_SCORE: LimitBasis
LIMIT_BASIS_NO_SCORE: LimitBasis
LIMIT_BASIS_NOT_KEPT: LimitBasis

class User(_message.Message):
    __slots__ = ("user_id", "features", "as_of", "scoring_consent", "missing_features", "identity_hash", "text_features")
    class FeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class TextFeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    SCORING_CONSENT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FEATURES_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_HASH_FIELD_NUMBER: _ClassVar[int]
    TEXT_FEATURES_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    features: _containers.ScalarMap[str, float]
    as_of: _timestamp_pb2.Timestamp
    scoring_consent: bool
    missing_features: _containers.RepeatedScalarFieldContainer[str]
    identity_hash: str
    text_features: _containers.ScalarMap[str, str]
    def __init__(self, user_id: _Optional[str] = ..., features: _Optional[_Mapping[str, float]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scoring_consent: _Optional[bool] = ..., missing_features: _Optional[_Iterable[str]] = ..., identity_hash: _Optional[str] = ..., text_features: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PutUsersRequest(_message.Message):
    __slots__ = ("request_id", "users")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    users: _containers.RepeatedCompositeFieldContainer[User]
    def __init__(self, request_id: _Optional[str] = ..., users: _Optional[_Iterable[_Union[User, _Mapping]]] = ...) -> None: ...

class PutUsersResponse(_message.Message):
    __slots__ = ("profiles",)
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    profiles: _containers.RepeatedCompositeFieldContainer[CreditProfile]
    def __init__(self, profiles: _Optional[_Iterable[_Union[CreditProfile, _Mapping]]] = ...) -> None: ...

class CreditProfile(_message.Message):
    __slots__ = ("user_id", "limit", "available", "held", "drawn", "cut_pending", "score", "score_band", "unscorable_reason", "feature_version", "as_of", "model_id", "disputed", "charged_back", "deposit", "refund_payable", "standing", "limit_fixed", "unscorable_feature", "extrapolated_features", "scale_version", "limit_basis", "overpaid", "ignored_features")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    DRAWN_FIELD_NUMBER: _ClassVar[int]
    CUT_PENDING_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SCORE_BAND_FIELD_NUMBER: _ClassVar[int]
    UNSCORABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    FEATURE_VERSION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    DISPUTED_FIELD_NUMBER: _ClassVar[int]
    CHARGED_BACK_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    REFUND_PAYABLE_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIXED_FIELD_NUMBER: _ClassVar[int]
    UNSCORABLE_FEATURE_FIELD_NUMBER: _ClassVar[int]
    EXTRAPOLATED_FEATURES_FIELD_NUMBER: _ClassVar[int]
    SCALE_VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BASIS_FIELD_NUMBER: _ClassVar[int]
    OVERPAID_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FEATURES_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    limit: _types_pb2.Money
    available: _types_pb2.Money
    held: _types_pb2.Money
    drawn: _types_pb2.Money
    cut_pending: _types_pb2.Money
    score: int
    score_band: _types_pb2.ScoreBand
    unscorable_reason: str
    feature_version: int
    as_of: _timestamp_pb2.Timestamp
    model_id: str
    disputed: _types_pb2.Money
    charged_back: _types_pb2.Money
    deposit: _types_pb2.Money
    refund_payable: _types_pb2.Money
    standing: Standing
    limit_fixed: bool
    unscorable_feature: str
    extrapolated_features: _containers.RepeatedScalarFieldContainer[str]
    scale_version: str
    limit_basis: LimitBasis
    overpaid: _types_pb2.Money
    ignored_features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., limit: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., available: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., held: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., drawn: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., cut_pending: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., score: _Optional[int] = ..., score_band: _Optional[_Union[_types_pb2.ScoreBand, str]] = ..., unscorable_reason: _Optional[str] = ..., feature_version: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model_id: _Optional[str] = ..., disputed: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., charged_back: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., deposit: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., refund_payable: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., standing: _Optional[_Union[Standing, str]] = ..., limit_fixed: _Optional[bool] = ..., unscorable_feature: _Optional[str] = ..., extrapolated_features: _Optional[_Iterable[str]] = ..., scale_version: _Optional[str] = ..., limit_basis: _Optional[_Union[LimitBasis, str]] = ..., overpaid: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., ignored_features: _Optional[_Iterable[str]] = ...) -> None: ...

class CreditLine(_message.Message):
    __slots__ = ("user_id", "limit", "available", "held", "drawn", "cut_pending", "disputed", "charged_back", "deposit", "refund_payable", "standing", "limit_fixed", "overpaid")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    DRAWN_FIELD_NUMBER: _ClassVar[int]
    CUT_PENDING_FIELD_NUMBER: _ClassVar[int]
    DISPUTED_FIELD_NUMBER: _ClassVar[int]
    CHARGED_BACK_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    REFUND_PAYABLE_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIXED_FIELD_NUMBER: _ClassVar[int]
    OVERPAID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    limit: _types_pb2.Money
    available: _types_pb2.Money
    held: _types_pb2.Money
    drawn: _types_pb2.Money
    cut_pending: _types_pb2.Money
    disputed: _types_pb2.Money
    charged_back: _types_pb2.Money
    deposit: _types_pb2.Money
    refund_payable: _types_pb2.Money
    standing: Standing
    limit_fixed: bool
    overpaid: _types_pb2.Money
    def __init__(self, user_id: _Optional[str] = ..., limit: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., available: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., held: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., drawn: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., cut_pending: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., disputed: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., charged_back: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., deposit: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., refund_payable: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., standing: _Optional[_Union[Standing, str]] = ..., limit_fixed: _Optional[bool] = ..., overpaid: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...

class GetCreditProfileRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class GetCreditProfileResponse(_message.Message):
    __slots__ = ("profile",)
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    profile: CreditProfile
    def __init__(self, profile: _Optional[_Union[CreditProfile, _Mapping]] = ...) -> None: ...

class SetCreditLimitRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "limit", "currency_code")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    limit: _types_pb2.Money
    currency_code: str
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., limit: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., currency_code: _Optional[str] = ...) -> None: ...

class SetCreditLimitResponse(_message.Message):
    __slots__ = ("line",)
    LINE_FIELD_NUMBER: _ClassVar[int]
    line: CreditLine
    def __init__(self, line: _Optional[_Union[CreditLine, _Mapping]] = ...) -> None: ...

class SetStandingRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "standing")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    standing: Standing
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., standing: _Optional[_Union[Standing, str]] = ...) -> None: ...

class SetStandingResponse(_message.Message):
    __slots__ = ("line",)
    LINE_FIELD_NUMBER: _ClassVar[int]
    line: CreditLine
    def __init__(self, line: _Optional[_Union[CreditLine, _Mapping]] = ...) -> None: ...

class Merge(_message.Message):
    __slots__ = ("user_id", "survivor", "reason", "propose_time", "approve_time")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SURVIVOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROPOSE_TIME_FIELD_NUMBER: _ClassVar[int]
    APPROVE_TIME_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    survivor: str
    reason: str
    propose_time: _timestamp_pb2.Timestamp
    approve_time: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., survivor: _Optional[str] = ..., reason: _Optional[str] = ..., propose_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., approve_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProposeMergeRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "survivor", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SURVIVOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    survivor: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., survivor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ProposeMergeResponse(_message.Message):
    __slots__ = ("merge",)
    MERGE_FIELD_NUMBER: _ClassVar[int]
    merge: Merge
    def __init__(self, merge: _Optional[_Union[Merge, _Mapping]] = ...) -> None: ...

class ApproveMergeRequest(_message.Message):
    __slots__ = ("request_id", "user_id", "survivor")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SURVIVOR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_id: str
    survivor: str
    def __init__(self, request_id: _Optional[str] = ..., user_id: _Optional[str] = ..., survivor: _Optional[str] = ...) -> None: ...

class ApproveMergeResponse(_message.Message):
    __slots__ = ("merge",)
    MERGE_FIELD_NUMBER: _ClassVar[int]
    merge: Merge
    def __init__(self, merge: _Optional[_Union[Merge, _Mapping]] = ...) -> None: ...

class ListReviewsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReviewsResponse(_message.Message):
    __slots__ = ("authorizations", "next_page_token")
    AUTHORIZATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    authorizations: _containers.RepeatedCompositeFieldContainer[_authorization_pb2.Authorization]
    next_page_token: str
    def __init__(self, authorizations: _Optional[_Iterable[_Union[_authorization_pb2.Authorization, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ResolveReviewRequest(_message.Message):
    __slots__ = ("request_id", "name", "verdict", "expected_version", "reason", "reason_text")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[ResolveReviewRequest.Verdict]
        VERDICT_APPROVED: _ClassVar[ResolveReviewRequest.Verdict]
        VERDICT_DECLINED: _ClassVar[ResolveReviewRequest.Verdict]
    VERDICT_UNSPECIFIED: ResolveReviewRequest.Verdict
    VERDICT_APPROVED: ResolveReviewRequest.Verdict
    VERDICT_DECLINED: ResolveReviewRequest.Verdict
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REASON_TEXT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    verdict: ResolveReviewRequest.Verdict
    expected_version: int
    reason: ReviewReason
    reason_text: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., verdict: _Optional[_Union[ResolveReviewRequest.Verdict, str]] = ..., expected_version: _Optional[int] = ..., reason: _Optional[_Union[ReviewReason, str]] = ..., reason_text: _Optional[str] = ...) -> None: ...

class ResolveReviewResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...

class RecordPaymentRequest(_message.Message):
    __slots__ = ("request_id", "authorization", "payment_reference", "amount", "expected_version", "rail_account")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    RAIL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    authorization: str
    payment_reference: str
    amount: _types_pb2.Money
    expected_version: int
    rail_account: str
    def __init__(self, request_id: _Optional[str] = ..., authorization: _Optional[str] = ..., payment_reference: _Optional[str] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., expected_version: _Optional[int] = ..., rail_account: _Optional[str] = ...) -> None: ...

class RecordPaymentResponse(_message.Message):
    __slots__ = ("authorization",)
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    authorization: _authorization_pb2.Authorization
    def __init__(self, authorization: _Optional[_Union[_authorization_pb2.Authorization, _Mapping]] = ...) -> None: ...
