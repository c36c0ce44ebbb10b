from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VerifyBooksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VerifyBooksResponse(_message.Message):
    __slots__ = ("verified", "lines", "entries", "authorizations", "fault")
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATIONS_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    verified: bool
    lines: int
    entries: int
    authorizations: int
    fault: BookFault
    def __init__(self, verified: _Optional[bool] = ..., lines: _Optional[int] = ..., entries: _Optional[int] = ..., authorizations: _Optional[int] = ..., fault: _Optional[_Union[BookFault, _Mapping]] = ...) -> None: ...

class BookFault(_message.Message):
    __slots__ = ("rule", "row", "detail")
    RULE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    rule: str
    row: str
    detail: str
    def __init__(self, rule: _Optional[str] = ..., row: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...
