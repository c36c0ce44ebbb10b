import datetime

from buf.validate import validate_pb2 as _validate_pb2
from freehold.v1 import terms_preview_pb2 as _terms_preview_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TermsKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TERMS_KIND_UNSPECIFIED: _ClassVar[TermsKind]
    TERMS_KIND_PRODUCT: _ClassVar[TermsKind]
    TERMS_KIND_TARIFF: _ClassVar[TermsKind]
    TERMS_KIND_POLICY: _ClassVar[TermsKind]
    TERMS_KIND_LIMITS: _ClassVar[TermsKind]
    TERMS_KIND_BOUNDS: _ClassVar[TermsKind]

class TermsState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TERMS_STATE_UNSPECIFIED: _ClassVar[TermsState]
    TERMS_STATE_DRAFT: _ClassVar[TermsState]
    TERMS_STATE_VALIDATED: _ClassVar[TermsState]
    TERMS_STATE_ACTIVE: _ClassVar[TermsState]
    TERMS_STATE_RETIRED: _ClassVar[TermsState]

class TermsOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TERMS_OUTCOME_UNSPECIFIED: _ClassVar[TermsOutcome]
    TERMS_OUTCOME_DRAFTED: _ClassVar[TermsOutcome]
    TERMS_OUTCOME_VALIDATED: _ClassVar[TermsOutcome]
    TERMS_OUTCOME_ACTIVATED: _ClassVar[TermsOutcome]
    TERMS_OUTCOME_RETIRED: _ClassVar[TermsOutcome]
    TERMS_OUTCOME_UNCHANGED: _ClassVar[TermsOutcome]
TERMS_KIND_UNSPECIFIED: TermsKind
TERMS_KIND_PRODUCT: TermsKind
TERMS_KIND_TARIFF: TermsKind
TERMS_KIND_POLICY: TermsKind
TERMS_KIND_LIMITS: TermsKind
TERMS_KIND_BOUNDS: TermsKind
TERMS_STATE_UNSPECIFIED: TermsState
TERMS_STATE_DRAFT: TermsState
TERMS_STATE_VALIDATED: TermsState
TERMS_STATE_ACTIVE: TermsState
TERMS_STATE_RETIRED: TermsState
TERMS_OUTCOME_UNSPECIFIED: TermsOutcome
TERMS_OUTCOME_DRAFTED: TermsOutcome
TERMS_OUTCOME_VALIDATED: TermsOutcome
TERMS_OUTCOME_ACTIVATED: TermsOutcome
TERMS_OUTCOME_RETIRED: TermsOutcome
TERMS_OUTCOME_UNCHANGED: TermsOutcome

class TermsStep(_message.Message):
    __slots__ = ("time", "by", "reason")
    TIME_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    by: str
    reason: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Terms(_message.Message):
    __slots__ = ("kind", "operator_id", "name", "revision", "document", "digest", "state", "draft", "validation", "activation", "retirement")
    KIND_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    RETIREMENT_FIELD_NUMBER: _ClassVar[int]
    kind: TermsKind
    operator_id: str
    name: str
    revision: int
    document: str
    digest: str
    state: TermsState
    draft: TermsStep
    validation: TermsStep
    activation: TermsStep
    retirement: TermsStep
    def __init__(self, kind: _Optional[_Union[TermsKind, str]] = ..., operator_id: _Optional[str] = ..., name: _Optional[str] = ..., revision: _Optional[int] = ..., document: _Optional[str] = ..., digest: _Optional[str] = ..., state: _Optional[_Union[TermsState, str]] = ..., draft: _Optional[_Union[TermsStep, _Mapping]] = ..., validation: _Optional[_Union[TermsStep, _Mapping]] = ..., activation: _Optional[_Union[TermsStep, _Mapping]] = ..., retirement: _Optional[_Union[TermsStep, _Mapping]] = ...) -> None: ...

class TermsDifference(_message.Message):
    __slots__ = ("path", "before", "after")
    PATH_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    path: str
    before: str
    after: str
    def __init__(self, path: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class TermsFault(_message.Message):
    __slots__ = ("path", "rule", "description")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    path: str
    rule: str
    description: str
    def __init__(self, path: _Optional[str] = ..., rule: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class ProductRevision(_message.Message):
    __slots__ = ("operator_id", "product_id", "revision")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    product_id: str
    revision: int
    def __init__(self, operator_id: _Optional[str] = ..., product_id: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class TermsResult(_message.Message):
    __slots__ = ("terms", "outcome", "differences", "faults", "products", "product_count", "outside", "outside_count", "unused")
    TERMS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_COUNT_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNUSED_FIELD_NUMBER: _ClassVar[int]
    terms: Terms
    outcome: TermsOutcome
    differences: _containers.RepeatedCompositeFieldContainer[TermsDifference]
    faults: _containers.RepeatedCompositeFieldContainer[TermsFault]
    products: _containers.RepeatedCompositeFieldContainer[ProductRevision]
    product_count: int
    outside: _containers.RepeatedCompositeFieldContainer[TermsFault]
    outside_count: int
    unused: _containers.RepeatedCompositeFieldContainer[TermsFault]
    def __init__(self, terms: _Optional[_Union[Terms, _Mapping]] = ..., outcome: _Optional[_Union[TermsOutcome, str]] = ..., differences: _Optional[_Iterable[_Union[TermsDifference, _Mapping]]] = ..., faults: _Optional[_Iterable[_Union[TermsFault, _Mapping]]] = ..., products: _Optional[_Iterable[_Union[ProductRevision, _Mapping]]] = ..., product_count: _Optional[int] = ..., outside: _Optional[_Iterable[_Union[TermsFault, _Mapping]]] = ..., outside_count: _Optional[int] = ..., unused: _Optional[_Iterable[_Union[TermsFault, _Mapping]]] = ...) -> None: ...

class ApplyTermsRequest(_message.Message):
    __slots__ = ("request_id", "operator_id", "kind", "document", "reason", "activate", "validate_only", "beyond_bounds")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTIVATE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    BEYOND_BOUNDS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    operator_id: str
    kind: TermsKind
    document: str
    reason: str
    activate: bool
    validate_only: bool
    beyond_bounds: bool
    def __init__(self, request_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., kind: _Optional[_Union[TermsKind, str]] = ..., document: _Optional[str] = ..., reason: _Optional[str] = ..., activate: _Optional[bool] = ..., validate_only: _Optional[bool] = ..., beyond_bounds: _Optional[bool] = ...) -> None: ...

class ApplyTermsResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: TermsResult
    def __init__(self, result: _Optional[_Union[TermsResult, _Mapping]] = ...) -> None: ...

class ValidateTermsRequest(_message.Message):
    __slots__ = ("request_id", "operator_id", "kind", "name", "revision", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    operator_id: str
    kind: TermsKind
    name: str
    revision: int
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., kind: _Optional[_Union[TermsKind, str]] = ..., name: _Optional[str] = ..., revision: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ValidateTermsResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: TermsResult
    def __init__(self, result: _Optional[_Union[TermsResult, _Mapping]] = ...) -> None: ...

class ActivateTermsRequest(_message.Message):
    __slots__ = ("request_id", "operator_id", "kind", "name", "revision", "reason", "beyond_bounds")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BEYOND_BOUNDS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    operator_id: str
    kind: TermsKind
    name: str
    revision: int
    reason: str
    beyond_bounds: bool
    def __init__(self, request_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., kind: _Optional[_Union[TermsKind, str]] = ..., name: _Optional[str] = ..., revision: _Optional[int] = ..., reason: _Optional[str] = ..., beyond_bounds: _Optional[bool] = ...) -> None: ...

class ActivateTermsResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: TermsResult
    def __init__(self, result: _Optional[_Union[TermsResult, _Mapping]] = ...) -> None: ...

class RetireTermsRequest(_message.Message):
    __slots__ = ("request_id", "operator_id", "kind", "name", "revision", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    operator_id: str
    kind: TermsKind
    name: str
    revision: int
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., operator_id: _Optional[str] = ..., kind: _Optional[_Union[TermsKind, str]] = ..., name: _Optional[str] = ..., revision: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class RetireTermsResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: TermsResult
    def __init__(self, result: _Optional[_Union[TermsResult, _Mapping]] = ...) -> None: ...

class ListTermsRequest(_message.Message):
    __slots__ = ("operator_id", "kind", "name", "retired", "page_size", "page_token")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    kind: TermsKind
    name: str
    retired: bool
    page_size: int
    page_token: str
    def __init__(self, operator_id: _Optional[str] = ..., kind: _Optional[_Union[TermsKind, str]] = ..., name: _Optional[str] = ..., retired: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTermsResponse(_message.Message):
    __slots__ = ("terms", "next_page_token")
    TERMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    terms: _containers.RepeatedCompositeFieldContainer[Terms]
    next_page_token: str
    def __init__(self, terms: _Optional[_Iterable[_Union[Terms, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetTermsRequest(_message.Message):
    __slots__ = ("operator_id", "kind", "name", "revision")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    kind: TermsKind
    name: str
    revision: int
    def __init__(self, operator_id: _Optional[str] = ..., kind: _Optional[_Union[TermsKind, str]] = ..., name: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class GetTermsResponse(_message.Message):
    __slots__ = ("terms",)
    TERMS_FIELD_NUMBER: _ClassVar[int]
    terms: Terms
    def __init__(self, terms: _Optional[_Union[Terms, _Mapping]] = ...) -> None: ...

class DiffTermsRequest(_message.Message):
    __slots__ = ("operator_id", "kind", "name", "from_revision", "to_revision", "document")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FROM_REVISION_FIELD_NUMBER: _ClassVar[int]
    TO_REVISION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    kind: TermsKind
    name: str
    from_revision: int
    to_revision: int
    document: str
    def __init__(self, operator_id: _Optional[str] = ..., kind: _Optional[_Union[TermsKind, str]] = ..., name: _Optional[str] = ..., from_revision: _Optional[int] = ..., to_revision: _Optional[int] = ..., document: _Optional[str] = ...) -> None: ...

class DiffTermsResponse(_message.Message):
    __slots__ = ("differences",)
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[TermsDifference]
    def __init__(self, differences: _Optional[_Iterable[_Union[TermsDifference, _Mapping]]] = ...) -> None: ...

class PreviewTermsRequest(_message.Message):
    __slots__ = ("operator_id", "kind", "document", "product_ids", "days", "picture_width")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    PICTURE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    kind: TermsKind
    document: str
    product_ids: _containers.RepeatedScalarFieldContainer[str]
    days: int
    picture_width: int
    def __init__(self, operator_id: _Optional[str] = ..., kind: _Optional[_Union[TermsKind, str]] = ..., document: _Optional[str] = ..., product_ids: _Optional[_Iterable[str]] = ..., days: _Optional[int] = ..., picture_width: _Optional[int] = ...) -> None: ...

class PreviewTermsResponse(_message.Message):
    __slots__ = ("operator_id", "name", "from_time", "until_time", "whole", "products", "notes", "picture", "faults")
    OPERATOR_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    operator_id: str
    name: str
    from_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    whole: _terms_preview_pb2.PreviewPart
    products: _containers.RepeatedCompositeFieldContainer[_terms_preview_pb2.PreviewPart]
    notes: _containers.RepeatedScalarFieldContainer[str]
    picture: str
    faults: _containers.RepeatedCompositeFieldContainer[TermsFault]
    def __init__(self, operator_id: _Optional[str] = ..., name: _Optional[str] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., whole: _Optional[_Union[_terms_preview_pb2.PreviewPart, _Mapping]] = ..., products: _Optional[_Iterable[_Union[_terms_preview_pb2.PreviewPart, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., picture: _Optional[str] = ..., faults: _Optional[_Iterable[_Union[TermsFault, _Mapping]]] = ...) -> None: ...
