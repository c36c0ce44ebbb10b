"""CreditService: people, credit lines, standing, reviews and payments."""

from __future__ import annotations

import asyncio
import hashlib
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

from freehold.v1 import credit_service_pb2 as pb

from service.domain.access import PLATFORM, Scope
from service.domain.authorization import Authorization
from service.domain.details import Price
from service.domain.errors import IllegalState, RequestIdReused, Violation
from service.domain.reviews import ReviewReason
from service.engine.calls import Work, without_bytes
from service.engine.feature_values import Kind, pack, texts_as_json
from service.engine.group_commit import Committer
from service.engine.operations import (
    ApproveMerge,
    OpenBulk,
    ProposeMerge,
    PutUser,
    RecordPayment,
    ResolveReview,
    SetLimit,
    SetStanding,
)
from service.engine.prices import Prices
from service.engine.profile import read_profile
from service.engine.rates import Weight
from service.engine.readers import Readers
from service.engine.reads import ListReader, Page, Place, ProfileReader
from service.engine.records.requests import Replayed
from service.engine.scoring import Assessor
from service.rpc import answers, convert
from service.rpc.meaning import differing_field
from service.rpc.mutations import Mutation, about
from service.rpc.pages import place_of, size_of, token_of
from service.rpc.pipeline import Call, Method
from service.rpc.retries import Retries

SERVICE = "freehold.v1.CreditService"
PUT_USERS = "PutUsers"
REASONS = {
    it: pb.ReviewReason.Value(
        f"REVIEW_REASON_{'UNSPECIFIED' if it is ReviewReason.NOT_GIVEN else it}"
    )
    for it in ReviewReason
}
REASON_OF = {number: reason for reason, number in REASONS.items()}


def _set_limit(call: Call[pb.SetCreditLimitRequest]) -> SetLimit:
    message = call.message
    limit = convert.money(message.limit) if message.HasField("limit") else None
    return SetLimit(message.user_id, limit, message.currency_code)


def _set_standing(call: Call[pb.SetStandingRequest]) -> SetStanding:
    return SetStanding(call.message.user_id, convert.STANDING_OF[call.message.standing])


def _by(call: Call[Any]) -> str:
    """The caller's hand: two acts by one person are by one hand, under any of their keys."""
    return call.principal.hand


def _propose_merge(call: Call[pb.ProposeMergeRequest]) -> ProposeMerge:
    message = call.message
    return ProposeMerge(message.user_id, message.survivor, message.reason, _by(call))


def _approve_merge(call: Call[pb.ApproveMergeRequest]) -> ApproveMerge:
    return ApproveMerge(call.message.user_id, call.message.survivor, _by(call))


def _approved(call: Call[pb.ResolveReviewRequest]) -> bool:
    return bool(call.message.verdict == pb.ResolveReviewRequest.VERDICT_APPROVED)


def _reason(call: Call[pb.ResolveReviewRequest]) -> ReviewReason:
    return REASON_OF[call.message.reason]


def _reason_text(call: Call[pb.ResolveReviewRequest]) -> str:
    text: str = call.message.reason_text
    return text


def _record_payment(call: Call[pb.RecordPaymentRequest]) -> RecordPayment:
    message = call.message
    user_id, authorization_id = convert.split_name(message.authorization)
    return RecordPayment(
        user_id,
        authorization_id,
        payment_reference=message.payment_reference,
        amount=convert.money(message.amount),
        expected_version=convert.expected_version(message),
        rail_account=message.rail_account,
    )


MUTATIONS = (
    Mutation(
        pb.SetCreditLimitRequest,
        pb.SetCreditLimitResponse,
        Scope.LIMITS_WRITE,
        _set_limit,
        answers.write_line,
    ),
    # A key that sets limits can do what a merge does to the lines: this gives no key more power.
    Mutation(
        pb.ProposeMergeRequest,
        pb.ProposeMergeResponse,
        Scope.LIMITS_WRITE,
        _propose_merge,
        answers.write_merge,
    ),
    Mutation(
        pb.ApproveMergeRequest,
        pb.ApproveMergeResponse,
        Scope.LIMITS_WRITE,
        _approve_merge,
        answers.write_merge,
    ),
    Mutation(
        pb.SetStandingRequest,
        pb.SetStandingResponse,
        Scope.STANDINGS_WRITE,
        _set_standing,
        answers.write_line,
    ),
    Mutation(
        pb.ResolveReviewRequest,
        pb.ResolveReviewResponse,
        Scope.REVIEWS_WRITE,
        about(ResolveReview, approve=_approved, by=_by, reason=_reason, text=_reason_text),
    ),
    Mutation(
        pb.RecordPaymentRequest,
        pb.RecordPaymentResponse,
        Scope.PAYMENTS_WRITE,
        _record_payment,
    ),
)
"""The calls of one command each; PutUsers has one command for each person."""


Wrong = dict[int, list[Violation]]
"""The violations of the people in a bulk call, by their places."""


def _whole_body(message: pb.PutUsersRequest) -> bytes:
    """The stored body of a bulk call: the ids of its people in their order."""
    people = "\n".join(user.user_id for user in message.users).encode()
    return hashlib.sha256(people).digest()


def _own_body(user: pb.User) -> bytes:
    """The stored body of one person of a bulk call; sorts `user.missing_features` in place."""
    # The names are a set: their order must not change the body.
    user.missing_features[:] = sorted(user.missing_features)
    return user.SerializeToString(deterministic=True)


def _own_request_id(message: pb.PutUsersRequest, user: pb.User) -> str:
    """The request id of one person of a bulk call."""
    return f"{message.request_id}/{user.user_id}"


def _whole(call: Call[pb.PutUsersRequest], wrong: Wrong) -> Work:
    """The bulk call's own request record: it binds the request id to these people."""
    return Work(
        caller=PLATFORM,
        request_id=call.message.request_id,
        method=PUT_USERS,
        body=_whole_body(call.message),
        command=OpenBulk(tuple(chain.from_iterable(wrong.values()))),
        encode=without_bytes,
        differing_field=lambda _first: "users",
        deadline=call.deadline,
    )


Kinds = Mapping[str, frozenset[Kind]]
"""The kinds in which a feature may be sent, by its name."""


def _names(user: pb.User) -> Iterator[str]:
    """The features that a person's message names."""
    return chain(user.features, user.text_features, user.missing_features)


def _plain(text: str) -> str:
    """A text without spaces around it, in the form in which a model learned it."""
    return unicodedata.normalize("NFC", text.strip())


def _wrong(users: Sequence[pb.User], kinds: Kinds) -> Wrong:
    """The violations of the people: named twice, or with values that no model can read."""
    wrong: Wrong = {}
    seen: set[str] = set()
    for place, user in enumerate(users):
        violations = []
        if user.user_id in seen:
            violations.append(
                Violation(f"users[{place}].user_id", "users.unique", "must appear once")
            )
        seen.add(user.user_id)
        convert.instant_us(user.as_of, f"users[{place}].as_of")  # raises InvalidInput
        violations += _features_at_fault(f"users[{place}]", user, kinds)
        if violations:
            wrong[place] = violations
    return wrong


def _features_at_fault(path: str, user: pb.User, kinds: Kinds) -> Iterator[Violation]:
    """The violations by a person's features."""
    for name in user.features:
        if Kind.NUMBER not in kinds.get(name, (Kind.NUMBER,)):
            field = f"{path}.features[{name!r}]"
            yield Violation(field, "features.kind", "must be in text_features: it is a text")
    for name, text in user.text_features.items():
        field = f"{path}.text_features[{name!r}]"
        if Kind.TEXT not in kinds.get(name, (Kind.TEXT,)):
            yield Violation(field, "features.kind", "must be in features: it is a number")
        if name in user.features:
            yield Violation(field, "features.either", "must not have a value in features as well")
        if not _plain(text):
            why = "must not be blank; name it in missing_features"
            yield Violation(field, "features.blank", why)
    for n, name in enumerate(user.missing_features):
        if name in user.features or name in user.text_features:
            field = f"{path}.missing_features[{n}]"
            why = "must not have a value in features or text_features as well"
            yield Violation(field, "features.either", why)


@contextmanager
def _placed(place: int) -> Iterator[None]:
    """Adds the person's place in the call to the field of a RequestIdReused."""
    try:
        yield
    except RequestIdReused as error:
        raise RequestIdReused(f"users[{place}].{error.metadata['field']}") from error


def _response(profiles: Sequence[bytes]) -> bytes:
    """The answer to a bulk call, made of the profiles of its people.

    The answer counts as replayed if all profiles are replayed, since the time when the last of them
    was recorded. A retry that continues where the first call stopped is not a replay.
    """
    response = pb.PutUsersResponse()
    for profile in profiles:
        response.profiles.add().MergeFromString(profile)
    answer = response.SerializeToString()
    replayed = [it.since_us for it in profiles if isinstance(it, Replayed)]
    return Replayed.of(answer, max(replayed)) if len(replayed) == len(profiles) else answer


class Reviews:
    """The reads of the risk team."""

    def __init__(self, reader: ListReader, prices: Prices, readers: Readers) -> None:
        self._reader = reader
        self._prices = prices
        self._readers = readers

    def methods(self, max_bytes: int) -> list[Method[Any]]:
        """The methods with their scopes."""
        scope = Scope.REVIEWS_READ
        return [
            Method("ListReviews", pb.ListReviewsRequest, scope, self.list, max_bytes, Weight.LIST)
        ]

    async def list(self, call: Call[pb.ListReviewsRequest]) -> bytes:
        """Answers ListReviews."""
        message = call.message
        after, size = place_of(message.page_token), size_of(message.page_size)
        page, prices = await self._readers.run(call, partial(self._page, after, size))
        rest = pb.ListReviewsResponse(next_page_token=token_of(page.last))
        told = zip(page.rows, prices, strict=True)
        encode = convert.encode_authorization
        return answers.all_placed([encode(it, None, price) for it, price in told], rest)

    def _page(self, after: Place, size: int) -> tuple[Page[Authorization], Sequence[Price]]:
        """A page with the hashes of the prices."""
        page = self._reader.reviews(after=after, size=size)
        return page, self._prices.of(page.rows)


class People:
    """PutUsers and GetCreditProfile."""

    def __init__(
        self,
        committer: Committer,
        store: ProfileReader,
        assessor: Assessor,
        readers: Readers,
        retries: Retries,
        *,
        currency: str,
        bulk_in_flight: int,
    ) -> None:
        self._committer = committer
        self._store = store
        self._assessor = assessor
        self._readers = readers
        self._retries = retries
        self._currency = currency
        self._bulk_in_flight = bulk_in_flight

    def methods(self, max_bytes: int, max_bulk_bytes: int) -> list[Method[Any]]:
        """The service's methods with their scopes."""
        return [
            Method(
                PUT_USERS,
                pb.PutUsersRequest,
                Scope.USERS_WRITE,
                self.put_users,
                max_bulk_bytes,
                Weight.BULK,
                self.first_answer,
            ),
            Method(
                "GetCreditProfile",
                pb.GetCreditProfileRequest,
                Scope.PROFILES_READ,
                self.get_profile,
                max_bytes,
            ),
        ]

    async def put_users(self, call: Call[pb.PutUsersRequest]) -> bytes:
        """Answers PutUsers; each person is a transaction and a request record of its own."""
        users = call.message.users
        kinds = await self._kinds(call)
        # The engine refuses wrong people, unless this is a retry that was accepted earlier.
        wrong = _wrong(users, kinds)
        await self._committer.submit(_whole(call, wrong))
        stored: list[bytes | BaseException] = []
        for start in range(0, len(users), self._bulk_in_flight):
            portion = users[start : start + self._bulk_in_flight]
            stored += await asyncio.gather(
                *(
                    self._put(call, place, user, wrong.get(place, []), kinds)
                    for place, user in enumerate(portion, start)
                ),
                return_exceptions=True,
            )
        profiles = []
        for answer in stored:
            # A refused person does not stop the others; the first refusal is the answer.
            if isinstance(answer, BaseException):
                raise answer
            profiles.append(answer)
        return _response(profiles)

    async def first_answer(self, call: Call[pb.PutUsersRequest]) -> bytes | None:
        """The stored answer to the same bulk call; None if some of its people were not stored.

        Raises RequestIdReused if the call's id was used with other people or other features.
        """
        message = call.message
        whole = message.request_id
        own = [_own_request_id(message, user) for user in message.users]
        found = await self._retries.records(call, PLATFORM, [whole, *own])
        if whole not in found:
            return None
        found[whole].answer_again(PUT_USERS, _whole_body(message), lambda _first: "users")
        if not found.keys() >= set(own):
            return None
        profiles = []
        for place, (request_id, user) in enumerate(zip(own, message.users, strict=True)):
            body = _own_body(user)
            with _placed(place):
                differing = partial(differing_field, user)
                profiles.append(found[request_id].answer_again(PUT_USERS, body, differing))
        return _response(profiles)

    async def _kinds(self, call: Call[pb.PutUsersRequest]) -> Kinds:
        """The kinds of each feature that is kept: as the served model wants it, else as any other
        model does that is not retired."""
        served = {name: frozenset((kind,)) for name, kind in self._assessor.kinds.items()}
        named = {name for user in call.message.users for name in _names(user)}
        if named <= served.keys():
            return served
        return await self._readers.run(call, self._store.kinds) | served

    async def _put(
        self,
        call: Call[pb.PutUsersRequest],
        place: int,
        user: pb.User,
        violations: Sequence[Violation],
        kinds: Kinds,
    ) -> bytes:
        served, body = self._assessor.raw_names, _own_body(user)
        sent = dict.fromkeys(user.missing_features, math.nan) | dict(user.features)
        names = [name for name in served if name in sent]
        names += sorted(name for name in sent if name in kinds and name not in served)
        raw = pack([sent[name] for name in names])
        texts = {name: _plain(it) for name, it in user.text_features.items() if name in kinds}
        work = Work(
            caller=PLATFORM,
            request_id=_own_request_id(call.message, user),
            method=PUT_USERS,
            body=body,
            command=PutUser(
                user.user_id,
                raw,
                convert.instant_us(user.as_of, "as_of"),
                user.scoring_consent,
                tuple(violations),
                None if tuple(names) == served else tuple(names),
                user.identity_hash,
                texts_as_json(texts),
                tuple(sorted(name for name in _names(user) if name not in kinds)),
            ),
            encode=answers.encode_profile,
            differing_field=partial(differing_field, user),
            deadline=call.deadline,
        )
        try:
            with _placed(place):
                return await self._committer.submit(work)
        except IllegalState as error:
            error.metadata["field"] = f"users[{place}]"
            raise

    async def get_profile(self, call: Call[pb.GetCreditProfileRequest]) -> bytes:
        """Answers GetCreditProfile."""
        read = partial(read_profile, self._store, call.message.user_id, self._currency)
        profile = await self._readers.run(call, read)
        response = pb.GetCreditProfileResponse()
        answers.write_profile(profile, response.profile)
        return response.SerializeToString()
