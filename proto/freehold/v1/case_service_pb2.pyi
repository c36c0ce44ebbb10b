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

class CaseKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CASE_KIND_UNSPECIFIED: _ClassVar[CaseKind]
    CASE_KIND_CLAIM: _ClassVar[CaseKind]
    CASE_KIND_LATE_CLAIM: _ClassVar[CaseKind]
    CASE_KIND_DISPUTE: _ClassVar[CaseKind]
    CASE_KIND_RETURN_BLOCKED: _ClassVar[CaseKind]
    CASE_KIND_ITEM_AT_FAULT: _ClassVar[CaseKind]
    CASE_KIND_WRONG_FEE: _ClassVar[CaseKind]
    CASE_KIND_NOT_MINE: _ClassVar[CaseKind]
    CASE_KIND_DAMAGE_NOT_MINE: _ClassVar[CaseKind]
    CASE_KIND_OTHER: _ClassVar[CaseKind]
    CASE_KIND_UNMATCHED_MONEY: _ClassVar[CaseKind]
    CASE_KIND_SECOND_REFERENCE: _ClassVar[CaseKind]
    CASE_KIND_LATE_PICKUP: _ClassVar[CaseKind]

class CaseSide(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CASE_SIDE_UNSPECIFIED: _ClassVar[CaseSide]
    CASE_SIDE_USER: _ClassVar[CaseSide]
    CASE_SIDE_OPERATOR: _ClassVar[CaseSide]
    CASE_SIDE_PLATFORM: _ClassVar[CaseSide]

class CaseOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CASE_OUTCOME_UNSPECIFIED: _ClassVar[CaseOutcome]
    CASE_OUTCOME_FOR_USER: _ClassVar[CaseOutcome]
    CASE_OUTCOME_IN_PART: _ClassVar[CaseOutcome]
    CASE_OUTCOME_FOR_OPERATOR: _ClassVar[CaseOutcome]
    CASE_OUTCOME_HANDLED: _ClassVar[CaseOutcome]
CASE_KIND_UNSPECIFIED: CaseKind
CASE_KIND_CLAIM: CaseKind
CASE_KIND_LATE_CLAIM: CaseKind
CASE_KIND_DISPUTE: CaseKind
CASE_KIND_RETURN_BLOCKED: CaseKind
CASE_KIND_ITEM_AT_FAULT: CaseKind
CASE_KIND_WRONG_FEE: CaseKind
CASE_KIND_NOT_MINE: CaseKind
CASE_KIND_DAMAGE_NOT_MINE: CaseKind
CASE_KIND_OTHER: CaseKind
CASE_KIND_UNMATCHED_MONEY: CaseKind
CASE_KIND_SECOND_REFERENCE: CaseKind
CASE_KIND_LATE_PICKUP: CaseKind
CASE_SIDE_UNSPECIFIED: CaseSide
CASE_SIDE_USER: CaseSide
CASE_SIDE_OPERATOR: CaseSide
CASE_SIDE_PLATFORM: CaseSide
CASE_OUTCOME_UNSPECIFIED: CaseOutcome
CASE_OUTCOME_FOR_USER: CaseOutcome
CASE_OUTCOME_IN_PART: CaseOutcome
CASE_OUTCOME_FOR_OPERATOR: CaseOutcome
CASE_OUTCOME_HANDLED: CaseOutcome

class CaseEvidence(_message.Message):
    __slots__ = ("number", "side", "text", "reference", "create_time")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    number: int
    side: CaseSide
    text: str
    reference: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, number: _Optional[int] = ..., side: _Optional[_Union[CaseSide, str]] = ..., text: _Optional[str] = ..., reference: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Case(_message.Message):
    __slots__ = ("name", "authorization", "kind", "state", "operator_id", "asked", "reference", "opened_by", "create_time", "occur_time", "waits_for", "due_time", "outcome", "granted", "closed_by", "close_time", "evidence_count")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Case.State]
        STATE_OPEN: _ClassVar[Case.State]
        STATE_CLOSED: _ClassVar[Case.State]
    STATE_UNSPECIFIED: Case.State
    STATE_OPEN: Case.State
    STATE_CLOSED: Case.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    OPENED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    OCCUR_TIME_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    CLOSED_BY_FIELD_NUMBER: _ClassVar[int]
    CLOSE_TIME_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    authorization: str
    kind: CaseKind
    state: Case.State
    operator_id: str
    asked: _types_pb2.Money
    reference: str
    opened_by: CaseSide
    create_time: _timestamp_pb2.Timestamp
    occur_time: _timestamp_pb2.Timestamp
    waits_for: CaseSide
    due_time: _timestamp_pb2.Timestamp
    outcome: CaseOutcome
    granted: _types_pb2.Money
    closed_by: str
    close_time: _timestamp_pb2.Timestamp
    evidence_count: int
    def __init__(self, name: _Optional[str] = ..., authorization: _Optional[str] = ..., kind: _Optional[_Union[CaseKind, str]] = ..., state: _Optional[_Union[Case.State, str]] = ..., operator_id: _Optional[str] = ..., asked: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., reference: _Optional[str] = ..., opened_by: _Optional[_Union[CaseSide, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., occur_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., waits_for: _Optional[_Union[CaseSide, str]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcome: _Optional[_Union[CaseOutcome, str]] = ..., granted: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., closed_by: _Optional[str] = ..., close_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., evidence_count: _Optional[int] = ...) -> None: ...

class OpenComplaintRequest(_message.Message):
    __slots__ = ("request_id", "name", "expected_version", "complaint", "amount", "text", "evidence", "occurred_at")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    COMPLAINT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    expected_version: int
    complaint: CaseKind
    amount: _types_pb2.Money
    text: str
    evidence: str
    occurred_at: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., expected_version: _Optional[int] = ..., complaint: _Optional[_Union[CaseKind, str]] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., text: _Optional[str] = ..., evidence: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class OpenComplaintResponse(_message.Message):
    __slots__ = ("case",)
    CASE_FIELD_NUMBER: _ClassVar[int]
    case: Case
    def __init__(self, case: _Optional[_Union[Case, _Mapping]] = ...) -> None: ...

class AddEvidenceRequest(_message.Message):
    __slots__ = ("request_id", "name", "side", "text", "evidence")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    side: CaseSide
    text: str
    evidence: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., side: _Optional[_Union[CaseSide, str]] = ..., text: _Optional[str] = ..., evidence: _Optional[str] = ...) -> None: ...

class AddEvidenceResponse(_message.Message):
    __slots__ = ("case",)
    CASE_FIELD_NUMBER: _ClassVar[int]
    case: Case
    def __init__(self, case: _Optional[_Union[Case, _Mapping]] = ...) -> None: ...

class ResolveCaseRequest(_message.Message):
    __slots__ = ("request_id", "name", "outcome", "amount", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    outcome: CaseOutcome
    amount: _types_pb2.Money
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., outcome: _Optional[_Union[CaseOutcome, str]] = ..., amount: _Optional[_Union[_types_pb2.Money, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class ResolveCaseResponse(_message.Message):
    __slots__ = ("case",)
    CASE_FIELD_NUMBER: _ClassVar[int]
    case: Case
    def __init__(self, case: _Optional[_Union[Case, _Mapping]] = ...) -> None: ...

class GetCaseRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetCaseResponse(_message.Message):
    __slots__ = ("case", "evidence")
    CASE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    case: Case
    evidence: _containers.RepeatedCompositeFieldContainer[CaseEvidence]
    def __init__(self, case: _Optional[_Union[Case, _Mapping]] = ..., evidence: _Optional[_Iterable[_Union[CaseEvidence, _Mapping]]] = ...) -> None: ...

class ListCasesRequest(_message.Message):
    __slots__ = ("state", "kind", "waits_for", "user_id", "due_before", "page_size", "page_token")
    STATE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    DUE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    state: Case.State
    kind: CaseKind
    waits_for: CaseSide
    user_id: str
    due_before: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, state: _Optional[_Union[Case.State, str]] = ..., kind: _Optional[_Union[CaseKind, str]] = ..., waits_for: _Optional[_Union[CaseSide, str]] = ..., user_id: _Optional[str] = ..., due_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCasesResponse(_message.Message):
    __slots__ = ("cases", "next_page_token")
    CASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    cases: _containers.RepeatedCompositeFieldContainer[Case]
    next_page_token: str
    def __init__(self, cases: _Optional[_Iterable[_Union[Case, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
