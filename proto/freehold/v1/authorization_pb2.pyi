import datetime

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

class Lapse(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LAPSE_UNSPECIFIED: _ClassVar[Lapse]
    LAPSE_OFFER_EXPIRED: _ClassVar[Lapse]
    LAPSE_REVIEW_EXPIRED: _ClassVar[Lapse]
    LAPSE_PICKUP_EXPIRED: _ClassVar[Lapse]
    LAPSE_DAMAGE_CHARGE_ENDED: _ClassVar[Lapse]
    LAPSE_CLAIM_ACCEPTED: _ClassVar[Lapse]
    LAPSE_LOST: _ClassVar[Lapse]
    LAPSE_SOLD: _ClassVar[Lapse]
    LAPSE_RETURN_PRESUMED: _ClassVar[Lapse]
    LAPSE_DEBT_DROPPED: _ClassVar[Lapse]

class CapturePurpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPTURE_PURPOSE_UNSPECIFIED: _ClassVar[CapturePurpose]
    CAPTURE_PURPOSE_FEE: _ClassVar[CapturePurpose]
    CAPTURE_PURPOSE_DAMAGE: _ClassVar[CapturePurpose]
    CAPTURE_PURPOSE_PENALTY: _ClassVar[CapturePurpose]

class AttestationKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTESTATION_KIND_UNSPECIFIED: _ClassVar[AttestationKind]
    ATTESTATION_KIND_PAUSE: _ClassVar[AttestationKind]
    ATTESTATION_KIND_RESUME: _ClassVar[AttestationKind]
    ATTESTATION_KIND_WAIVER: _ClassVar[AttestationKind]
    ATTESTATION_KIND_BY_POST: _ClassVar[AttestationKind]
    ATTESTATION_KIND_BY_HAND: _ClassVar[AttestationKind]

class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAUSE_UNSPECIFIED: _ClassVar[Cause]
    CAUSE_CABINET_FULL: _ClassVar[Cause]
    CAUSE_SITE_CLOSED: _ClassVar[Cause]
    CAUSE_ITEM_AT_FAULT: _ClassVar[Cause]
    CAUSE_APP_DOWN: _ClassVar[Cause]
    CAUSE_OTHER: _ClassVar[Cause]

class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_UNSPECIFIED: _ClassVar[Source]
    SOURCE_OPERATOR: _ClassVar[Source]
    SOURCE_USER: _ClassVar[Source]
    SOURCE_SUPPORT: _ClassVar[Source]
LAPSE_UNSPECIFIED: Lapse
LAPSE_OFFER_EXPIRED: Lapse
LAPSE_REVIEW_EXPIRED: Lapse
LAPSE_PICKUP_EXPIRED: Lapse
LAPSE_DAMAGE_CHARGE_ENDED: Lapse
LAPSE_CLAIM_ACCEPTED: Lapse
LAPSE_LOST: Lapse
LAPSE_SOLD: Lapse
LAPSE_RETURN_PRESUMED: Lapse
LAPSE_DEBT_DROPPED: Lapse
CAPTURE_PURPOSE_UNSPECIFIED: CapturePurpose
CAPTURE_PURPOSE_FEE: CapturePurpose
CAPTURE_PURPOSE_DAMAGE: CapturePurpose
CAPTURE_PURPOSE_PENALTY: CapturePurpose
ATTESTATION_KIND_UNSPECIFIED: AttestationKind
ATTESTATION_KIND_PAUSE: AttestationKind
ATTESTATION_KIND_RESUME: AttestationKind
ATTESTATION_KIND_WAIVER: AttestationKind
ATTESTATION_KIND_BY_POST: AttestationKind
ATTESTATION_KIND_BY_HAND: AttestationKind
CAUSE_UNSPECIFIED: Cause
CAUSE_CABINET_FULL: Cause
CAUSE_SITE_CLOSED: Cause
CAUSE_ITEM_AT_FAULT: Cause
CAUSE_APP_DOWN: Cause
CAUSE_OTHER: Cause
SOURCE_UNSPECIFIED: Source
SOURCE_OPERATOR: Source
SOURCE_USER: Source
SOURCE_SUPPORT: Source

class Authorization(_message.Message):
    __slots__ = ("name", "request_id", "product_id", "asset_id", "state", "custody", "collection", "offer", "reasons", "score_band", "deposit_asked", "held", "held_credit", "held_cash", "captured", "due", "refund_payable", "decision_id", "model_id", "policy_revision", "create_time", "expire_time", "start_time", "close_time", "version", "due_time", "lost_time", "claim_time", "claim_until_time", "sold_time", "group", "parent", "paid", "lowered", "disputed", "written_off", "refunded", "charged_back", "conceded", "fee", "write_off_proposed", "overpaid", "uncollected", "refund_time", "unheld", "unheld_due", "unheld_dropped", "unheld_disputed", "unheld_until_time", "paused", "order_fee", "product_revision", "price_hash", "price_place", "receipt", "details", "lapse", "case", "moved_no_money", "step_decision_id", "user_consent_reference", "reviewed")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Authorization.State]
        STATE_OFFERED: _ClassVar[Authorization.State]
        STATE_REVIEW: _ClassVar[Authorization.State]
        STATE_AUTHORIZED: _ClassVar[Authorization.State]
        STATE_ACTIVE: _ClassVar[Authorization.State]
        STATE_OVERDUE: _ClassVar[Authorization.State]
        STATE_RETURN_CLAIMED: _ClassVar[Authorization.State]
        STATE_SETTLED: _ClassVar[Authorization.State]
        STATE_DECLINED: _ClassVar[Authorization.State]
        STATE_REVERSED: _ClassVar[Authorization.State]
        STATE_EXPIRED: _ClassVar[Authorization.State]
    STATE_UNSPECIFIED: Authorization.State
    STATE_OFFERED: Authorization.State
    STATE_REVIEW: Authorization.State
    STATE_AUTHORIZED: Authorization.State
    STATE_ACTIVE: Authorization.State
    STATE_OVERDUE: Authorization.State
    STATE_RETURN_CLAIMED: Authorization.State
    STATE_SETTLED: Authorization.State
    STATE_DECLINED: Authorization.State
    STATE_REVERSED: Authorization.State
    STATE_EXPIRED: Authorization.State
    class Custody(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CUSTODY_UNSPECIFIED: _ClassVar[Authorization.Custody]
        CUSTODY_IN_STATION: _ClassVar[Authorization.Custody]
        CUSTODY_OUT: _ClassVar[Authorization.Custody]
        CUSTODY_UNKNOWN: _ClassVar[Authorization.Custody]
        CUSTODY_MISSING: _ClassVar[Authorization.Custody]
        CUSTODY_SOLD: _ClassVar[Authorization.Custody]
    CUSTODY_UNSPECIFIED: Authorization.Custody
    CUSTODY_IN_STATION: Authorization.Custody
    CUSTODY_OUT: Authorization.Custody
    CUSTODY_UNKNOWN: Authorization.Custody
    CUSTODY_MISSING: Authorization.Custody
    CUSTODY_SOLD: Authorization.Custody
    class Collection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        COLLECTION_UNSPECIFIED: _ClassVar[Authorization.Collection]
        COLLECTION_NONE: _ClassVar[Authorization.Collection]
        COLLECTION_DUE: _ClassVar[Authorization.Collection]
        COLLECTION_PAYING: _ClassVar[Authorization.Collection]
        COLLECTION_PAID: _ClassVar[Authorization.Collection]
        COLLECTION_REFUND_PENDING: _ClassVar[Authorization.Collection]
        COLLECTION_REFUNDED: _ClassVar[Authorization.Collection]
        COLLECTION_DISPUTED: _ClassVar[Authorization.Collection]
        COLLECTION_WRITTEN_OFF: _ClassVar[Authorization.Collection]
        COLLECTION_OVERPAID: _ClassVar[Authorization.Collection]
    COLLECTION_UNSPECIFIED: Authorization.Collection
    COLLECTION_NONE: Authorization.Collection
    COLLECTION_DUE: Authorization.Collection
    COLLECTION_PAYING: Authorization.Collection
    COLLECTION_PAID: Authorization.Collection
    COLLECTION_REFUND_PENDING: Authorization.Collection
    COLLECTION_REFUNDED: Authorization.Collection
    COLLECTION_DISPUTED: Authorization.Collection
    COLLECTION_WRITTEN_OFF: Authorization.Collection
    COLLECTION_OVERPAID: Authorization.Collection
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CUSTODY_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    SCORE_BAND_FIELD_NUMBER: _ClassVar[int]
    DEPOSIT_ASKED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HELD_CREDIT_FIELD_NUMBER: _ClassVar[int]
    HELD_CASH_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_FIELD_NUMBER: _ClassVar[int]
    DUE_FIELD_NUMBER: _ClassVar[int]
    REFUND_PAYABLE_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSE_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    LOST_TIME_FIELD_NUMBER: _ClassVar[int]
    CLAIM_TIME_FIELD_NUMBER: _ClassVar[int]
    CLAIM_UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    SOLD_TIME_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    LOWERED_FIELD_NUMBER: _ClassVar[int]
    DISPUTED_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_OFF_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_FIELD_NUMBER: _ClassVar[int]
    CHARGED_BACK_FIELD_NUMBER: _ClassVar[int]
    CONCEDED_FIELD_NUMBER: _ClassVar[int]
    FEE_FIELD_NUMBER: _ClassVar[int]
    WRITE_OFF_PROPOSED_FIELD_NUMBER: _ClassVar[int]
    OVERPAID_FIELD_NUMBER: _ClassVar[int]
    UNCOLLECTED_FIELD_NUMBER: _ClassVar[int]
    REFUND_TIME_FIELD_NUMBER: _ClassVar[int]
    UNHELD_FIELD_NUMBER: _ClassVar[int]
    UNHELD_DUE_FIELD_NUMBER: _ClassVar[int]
    UNHELD_DROPPED_FIELD_NUMBER: _ClassVar[int]
    UNHELD_DISPUTED_FIELD_NUMBER: _ClassVar[int]
    UNHELD_UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    ORDER_FEE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_REVISION_FIELD_NUMBER: _ClassVar[int]
    PRICE_HASH_FIELD_NUMBER: _ClassVar[int]
    PRICE_PLACE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    LAPSE_FIELD_NUMBER: _ClassVar[int]
    CASE_FIELD_NUMBER: _ClassVar[int]
    MOVED_NO_MONEY_FIELD_NUMBER: _ClassVar[int]
    STEP_DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_CONSENT_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REVIEWED_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    product_id: str
    asset_id: str
    state: Authorization.State
    custody: Authorization.Custody
    collection: Authorization.Collection
    offer: _types_pb2.Offer
    reasons: _containers.RepeatedScalarFieldContainer[str]
    score_band: _types_pb2.ScoreBand
    deposit_asked: _types_pb2.Money
    held: _types_pb2.Money
    held_credit: _types_pb2.Money
    held_cash: _types_pb2.Money
    captured: _types_pb2.Money
    due: _types_pb2.Money
    refund_payable: _types_pb2.Money
    decision_id: str
    model_id: str
    policy_revision: int
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    close_time: _timestamp_pb2.Timestamp
    version: int
    due_time: _timestamp_pb2.Timestamp
    lost_time: _timestamp_pb2.Timestamp
    claim_time: _timestamp_pb2.Timestamp
    claim_until_time: _timestamp_pb2.Timestamp
    sold_time: _timestamp_pb2.Timestamp
    group: str
    parent: str
    paid: _types_pb2.Money
    lowered: _types_pb2.Money
    disputed: _types_pb2.Money
    written_off: _types_pb2.Money
    refunded: _types_pb2.Money
    charged_back: _types_pb2.Money
    conceded: _types_pb2.Money
    fee: _types_pb2.Money
    write_off_proposed: _types_pb2.Money
    overpaid: _types_pb2.Money
    uncollected: _types_pb2.Money
    refund_time: _timestamp_pb2.Timestamp
    unheld: _types_pb2.Money
    unheld_due: _types_pb2.Money
    unheld_dropped: _types_pb2.Money
    unheld_disputed: _types_pb2.Money
    unheld_until_time: _timestamp_pb2.Timestamp
    paused: _duration_pb2.Duration
    order_fee: _types_pb2.Money
    product_revision: int
    price_hash: str
    price_place: str
    receipt: _receipt_pb2.Receipt
    details: _details_pb2.Details
    lapse: Lapse
    case: str
    moved_no_money: bool
    step_decision_id: str
    user_consent_reference: str
    reviewed: bool
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ..., product_id: _Optional[str] = ..., asset_id: _Optional[str] = ..., state: _Optional[_Union[Authorization.State, str]] = ..., custody: _Optional[_Union[Authorization.Custody, str]] = ..., collection: _Optional[_Union[Authorization.Collection, str]] = ..., offer: _Optional[_Union[_types_pb2.Offer, str]] = ..., reasons: _Optional[_Iterable[str]] = ..., score_band: _Optional[_Union[_types_pb2.ScoreBand, str]] = ..., deposit_asked: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., held: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., held_credit: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., held_cash: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., captured: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., due: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., refund_payable: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., decision_id: _Optional[str] = ..., model_id: _Optional[str] = ..., policy_revision: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., close_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lost_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., claim_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., claim_until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sold_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., group: _Optional[str] = ..., parent: _Optional[str] = ..., paid: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., lowered: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., disputed: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., written_off: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., refunded: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., charged_back: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., conceded: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., fee: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., write_off_proposed: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., overpaid: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., uncollected: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., refund_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unheld: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., unheld_due: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., unheld_dropped: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., unheld_disputed: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., unheld_until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., paused: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., order_fee: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., product_revision: _Optional[int] = ..., price_hash: _Optional[str] = ..., price_place: _Optional[str] = ..., receipt: _Optional[_Union[_receipt_pb2.Receipt, _Mapping]] = ..., details: _Optional[_Union[_details_pb2.Details, _Mapping]] = ..., lapse: _Optional[_Union[Lapse, str]] = ..., case: _Optional[str] = ..., moved_no_money: _Optional[bool] = ..., step_decision_id: _Optional[str] = ..., user_consent_reference: _Optional[str] = ..., reviewed: _Optional[bool] = ...) -> None: ...

class Capture(_message.Message):
    __slots__ = ("number", "purpose", "amount", "conceded", "disputed", "business_reference", "occur_time", "create_time")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CONCEDED_FIELD_NUMBER: _ClassVar[int]
    DISPUTED_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    OCCUR_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    number: int
    purpose: CapturePurpose
    amount: _types_pb2.Money
    conceded: _types_pb2.Money
    disputed: _types_pb2.Money
    business_reference: str
    occur_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, number: _Optional[int] = ..., purpose: _Optional[_Union[CapturePurpose, str]] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., conceded: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., disputed: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., business_reference: _Optional[str] = ..., occur_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Correction(_message.Message):
    __slots__ = ("number", "kind", "capture", "amount", "conceded", "business_reference", "reason", "create_time")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CONCEDED_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: str
    capture: int
    amount: _types_pb2.Money
    conceded: _types_pb2.Money
    business_reference: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[str] = ..., capture: _Optional[int] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., conceded: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., business_reference: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Attestation(_message.Message):
    __slots__ = ("number", "kind", "cause", "source", "evidence", "occur_time", "create_time", "until_time", "waived", "pending")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    OCCUR_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    WAIVED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: AttestationKind
    cause: Cause
    source: Source
    evidence: str
    occur_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    waived: _types_pb2.Money
    pending: _types_pb2.Money
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[_Union[AttestationKind, str]] = ..., cause: _Optional[_Union[Cause, str]] = ..., source: _Optional[_Union[Source, str]] = ..., evidence: _Optional[str] = ..., occur_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., waived: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., pending: _Optional[_Union[_types_pb2.Money, _Mapping]] = ...) -> None: ...
