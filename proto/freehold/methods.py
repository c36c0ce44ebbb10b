"""Every method of the contract, for both clients. Written by `make stubs`."""

from __future__ import annotations

from freehold.method import Method
from freehold.v1 import (
    admin_service_pb2,
    admission_service_pb2,
    authorization_service_pb2,
    case_service_pb2,
    collection_service_pb2,
    credit_service_pb2,
    ledger_service_pb2,
    pass_service_pb2,
    rail_service_pb2,
    sandbox_service_pb2,
    terms_service_pb2,
)


class Methods:
    """Every method of the contract, a call of a client.

    The methods of AuthorizationService and PassService want an operator's key. Those of
    CaseService, AdminService, AdmissionService and TermsService, and `claim_return`, take either.
    The others want a platform's.
    """

    create_key = Method(
        "AdminService",
        admin_service_pb2.CreateKeyRequest,
        admin_service_pb2.CreateKeyResponse,
    )

    list_keys = Method(
        "AdminService",
        admin_service_pb2.ListKeysRequest,
        admin_service_pb2.ListKeysResponse,
    )

    update_key = Method(
        "AdminService",
        admin_service_pb2.UpdateKeyRequest,
        admin_service_pb2.UpdateKeyResponse,
    )

    roll_key = Method(
        "AdminService",
        admin_service_pb2.RollKeyRequest,
        admin_service_pb2.RollKeyResponse,
    )

    revoke_key = Method(
        "AdminService",
        admin_service_pb2.RevokeKeyRequest,
        admin_service_pb2.RevokeKeyResponse,
    )

    bind_key = Method(
        "AdminService",
        admin_service_pb2.BindKeyRequest,
        admin_service_pb2.BindKeyResponse,
    )

    unbind_key = Method(
        "AdminService",
        admin_service_pb2.UnbindKeyRequest,
        admin_service_pb2.UnbindKeyResponse,
    )

    add_person = Method(
        "AdminService",
        admin_service_pb2.AddPersonRequest,
        admin_service_pb2.AddPersonResponse,
    )

    list_persons = Method(
        "AdminService",
        admin_service_pb2.ListPersonsRequest,
        admin_service_pb2.ListPersonsResponse,
    )

    remove_person = Method(
        "AdminService",
        admin_service_pb2.RemovePersonRequest,
        admin_service_pb2.RemovePersonResponse,
    )

    list_audit_events = Method(
        "AdminService",
        admin_service_pb2.ListAuditEventsRequest,
        admin_service_pb2.ListAuditEventsResponse,
    )

    propose_act = Method(
        "AdminService",
        admin_service_pb2.ProposeActRequest,
        admin_service_pb2.ProposeActResponse,
    )

    approve_act = Method(
        "AdminService",
        admin_service_pb2.ApproveActRequest,
        admin_service_pb2.ApproveActResponse,
    )

    withdraw_act = Method(
        "AdminService",
        admin_service_pb2.WithdrawActRequest,
        admin_service_pb2.WithdrawActResponse,
    )

    list_proposals = Method(
        "AdminService",
        admin_service_pb2.ListProposalsRequest,
        admin_service_pb2.ListProposalsResponse,
    )

    add_listings = Method(
        "AdmissionService",
        admission_service_pb2.AddListingsRequest,
        admission_service_pb2.AddListingsResponse,
    )

    end_listings = Method(
        "AdmissionService",
        admission_service_pb2.EndListingsRequest,
        admission_service_pb2.EndListingsResponse,
    )

    list_listings = Method(
        "AdmissionService",
        admission_service_pb2.ListListingsRequest,
        admission_service_pb2.ListListingsResponse,
    )

    list_budgets = Method(
        "AdmissionService",
        admission_service_pb2.ListBudgetsRequest,
        admission_service_pb2.ListBudgetsResponse,
    )

    list_breakers = Method(
        "AdmissionService",
        admission_service_pb2.ListBreakersRequest,
        admission_service_pb2.ListBreakersResponse,
    )

    reset_breaker = Method(
        "AdmissionService",
        admission_service_pb2.ResetBreakerRequest,
        admission_service_pb2.ResetBreakerResponse,
    )

    authorize = Method(
        "AuthorizationService",
        authorization_service_pb2.AuthorizeRequest,
        authorization_service_pb2.AuthorizeResponse,
    )

    batch_authorize = Method(
        "AuthorizationService",
        authorization_service_pb2.BatchAuthorizeRequest,
        authorization_service_pb2.BatchAuthorizeResponse,
    )

    authorize_group = Method(
        "AuthorizationService",
        authorization_service_pb2.AuthorizeGroupRequest,
        authorization_service_pb2.AuthorizeGroupResponse,
    )

    quote_authorization = Method(
        "AuthorizationService",
        authorization_service_pb2.QuoteAuthorizationRequest,
        authorization_service_pb2.QuoteAuthorizationResponse,
    )

    quote_fee = Method(
        "AuthorizationService",
        authorization_service_pb2.QuoteFeeRequest,
        authorization_service_pb2.QuoteFeeResponse,
    )

    confirm_authorization = Method(
        "AuthorizationService",
        authorization_service_pb2.ConfirmAuthorizationRequest,
        authorization_service_pb2.ConfirmAuthorizationResponse,
    )

    start_rental = Method(
        "AuthorizationService",
        authorization_service_pb2.StartRentalRequest,
        authorization_service_pb2.StartRentalResponse,
    )

    get_authorization = Method(
        "AuthorizationService",
        authorization_service_pb2.GetAuthorizationRequest,
        authorization_service_pb2.GetAuthorizationResponse,
    )

    get_receipt = Method(
        "AuthorizationService",
        authorization_service_pb2.GetReceiptRequest,
        authorization_service_pb2.GetReceiptResponse,
    )

    list_authorizations = Method(
        "AuthorizationService",
        authorization_service_pb2.ListAuthorizationsRequest,
        authorization_service_pb2.ListAuthorizationsResponse,
    )

    increment_authorization = Method(
        "AuthorizationService",
        authorization_service_pb2.IncrementAuthorizationRequest,
        authorization_service_pb2.IncrementAuthorizationResponse,
    )

    decrease_authorization = Method(
        "AuthorizationService",
        authorization_service_pb2.DecreaseAuthorizationRequest,
        authorization_service_pb2.DecreaseAuthorizationResponse,
    )

    extend_rental = Method(
        "AuthorizationService",
        authorization_service_pb2.ExtendRentalRequest,
        authorization_service_pb2.ExtendRentalResponse,
    )

    settle_authorization = Method(
        "AuthorizationService",
        authorization_service_pb2.SettleAuthorizationRequest,
        authorization_service_pb2.SettleAuthorizationResponse,
    )

    batch_settle = Method(
        "AuthorizationService",
        authorization_service_pb2.BatchSettleRequest,
        authorization_service_pb2.BatchSettleResponse,
    )

    reverse_authorization = Method(
        "AuthorizationService",
        authorization_service_pb2.ReverseAuthorizationRequest,
        authorization_service_pb2.ReverseAuthorizationResponse,
    )

    claim_return = Method(
        "AuthorizationService",
        authorization_service_pb2.ClaimReturnRequest,
        authorization_service_pb2.ClaimReturnResponse,
    )

    contest_return = Method(
        "AuthorizationService",
        authorization_service_pb2.ContestReturnRequest,
        authorization_service_pb2.ContestReturnResponse,
    )

    pause_rental = Method(
        "AuthorizationService",
        authorization_service_pb2.PauseRentalRequest,
        authorization_service_pb2.PauseRentalResponse,
    )

    resume_rental = Method(
        "AuthorizationService",
        authorization_service_pb2.ResumeRentalRequest,
        authorization_service_pb2.ResumeRentalResponse,
    )

    waive_fee = Method(
        "AuthorizationService",
        authorization_service_pb2.WaiveFeeRequest,
        authorization_service_pb2.WaiveFeeResponse,
    )

    report_lost = Method(
        "AuthorizationService",
        authorization_service_pb2.ReportLostRequest,
        authorization_service_pb2.ReportLostResponse,
    )

    report_found = Method(
        "AuthorizationService",
        authorization_service_pb2.ReportFoundRequest,
        authorization_service_pb2.ReportFoundResponse,
    )

    book_debt = Method(
        "AuthorizationService",
        authorization_service_pb2.BookDebtRequest,
        authorization_service_pb2.BookDebtResponse,
    )

    lower_charge = Method(
        "AuthorizationService",
        authorization_service_pb2.LowerChargeRequest,
        authorization_service_pb2.LowerChargeResponse,
    )

    refund_charge = Method(
        "AuthorizationService",
        authorization_service_pb2.RefundChargeRequest,
        authorization_service_pb2.RefundChargeResponse,
    )

    record_paid_elsewhere = Method(
        "AuthorizationService",
        authorization_service_pb2.RecordPaidElsewhereRequest,
        authorization_service_pb2.RecordPaidElsewhereResponse,
    )

    open_complaint = Method(
        "CaseService",
        case_service_pb2.OpenComplaintRequest,
        case_service_pb2.OpenComplaintResponse,
    )

    add_evidence = Method(
        "CaseService",
        case_service_pb2.AddEvidenceRequest,
        case_service_pb2.AddEvidenceResponse,
    )

    resolve_case = Method(
        "CaseService",
        case_service_pb2.ResolveCaseRequest,
        case_service_pb2.ResolveCaseResponse,
    )

    get_case = Method(
        "CaseService",
        case_service_pb2.GetCaseRequest,
        case_service_pb2.GetCaseResponse,
    )

    list_cases = Method(
        "CaseService",
        case_service_pb2.ListCasesRequest,
        case_service_pb2.ListCasesResponse,
    )

    open_dispute = Method(
        "CollectionService",
        collection_service_pb2.OpenDisputeRequest,
        collection_service_pb2.OpenDisputeResponse,
    )

    resolve_dispute = Method(
        "CollectionService",
        collection_service_pb2.ResolveDisputeRequest,
        collection_service_pb2.ResolveDisputeResponse,
    )

    record_charge_back = Method(
        "CollectionService",
        collection_service_pb2.RecordChargeBackRequest,
        collection_service_pb2.RecordChargeBackResponse,
    )

    resolve_charge_back = Method(
        "CollectionService",
        collection_service_pb2.ResolveChargeBackRequest,
        collection_service_pb2.ResolveChargeBackResponse,
    )

    list_charge_backs = Method(
        "CollectionService",
        collection_service_pb2.ListChargeBacksRequest,
        collection_service_pb2.ListChargeBacksResponse,
    )

    record_unmatched = Method(
        "CollectionService",
        collection_service_pb2.RecordUnmatchedRequest,
        collection_service_pb2.RecordUnmatchedResponse,
    )

    match_suspense = Method(
        "CollectionService",
        collection_service_pb2.MatchSuspenseRequest,
        collection_service_pb2.MatchSuspenseResponse,
    )

    list_suspense = Method(
        "CollectionService",
        collection_service_pb2.ListSuspenseRequest,
        collection_service_pb2.ListSuspenseResponse,
    )

    set_provision = Method(
        "CollectionService",
        collection_service_pb2.SetProvisionRequest,
        collection_service_pb2.SetProvisionResponse,
    )

    propose_write_off = Method(
        "CollectionService",
        collection_service_pb2.ProposeWriteOffRequest,
        collection_service_pb2.ProposeWriteOffResponse,
    )

    approve_write_off = Method(
        "CollectionService",
        collection_service_pb2.ApproveWriteOffRequest,
        collection_service_pb2.ApproveWriteOffResponse,
    )

    forgive_charge = Method(
        "CollectionService",
        collection_service_pb2.ForgiveChargeRequest,
        collection_service_pb2.ForgiveChargeResponse,
    )

    pay_out_refund = Method(
        "CollectionService",
        collection_service_pb2.PayOutRefundRequest,
        collection_service_pb2.PayOutRefundResponse,
    )

    pay_out_operator = Method(
        "CollectionService",
        collection_service_pb2.PayOutOperatorRequest,
        collection_service_pb2.PayOutOperatorResponse,
    )

    record_operator_payment = Method(
        "CollectionService",
        collection_service_pb2.RecordOperatorPaymentRequest,
        collection_service_pb2.RecordOperatorPaymentResponse,
    )

    get_operator_balance = Method(
        "CollectionService",
        collection_service_pb2.GetOperatorBalanceRequest,
        collection_service_pb2.GetOperatorBalanceResponse,
    )

    put_users = Method(
        "CreditService",
        credit_service_pb2.PutUsersRequest,
        credit_service_pb2.PutUsersResponse,
    )

    get_credit_profile = Method(
        "CreditService",
        credit_service_pb2.GetCreditProfileRequest,
        credit_service_pb2.GetCreditProfileResponse,
    )

    set_credit_limit = Method(
        "CreditService",
        credit_service_pb2.SetCreditLimitRequest,
        credit_service_pb2.SetCreditLimitResponse,
    )

    set_standing = Method(
        "CreditService",
        credit_service_pb2.SetStandingRequest,
        credit_service_pb2.SetStandingResponse,
    )

    propose_merge = Method(
        "CreditService",
        credit_service_pb2.ProposeMergeRequest,
        credit_service_pb2.ProposeMergeResponse,
    )

    approve_merge = Method(
        "CreditService",
        credit_service_pb2.ApproveMergeRequest,
        credit_service_pb2.ApproveMergeResponse,
    )

    list_reviews = Method(
        "CreditService",
        credit_service_pb2.ListReviewsRequest,
        credit_service_pb2.ListReviewsResponse,
    )

    resolve_review = Method(
        "CreditService",
        credit_service_pb2.ResolveReviewRequest,
        credit_service_pb2.ResolveReviewResponse,
    )

    record_payment = Method(
        "CreditService",
        credit_service_pb2.RecordPaymentRequest,
        credit_service_pb2.RecordPaymentResponse,
    )

    verify_books = Method(
        "LedgerService",
        ledger_service_pb2.VerifyBooksRequest,
        ledger_service_pb2.VerifyBooksResponse,
    )

    get_line_at = Method(
        "LedgerService",
        ledger_service_pb2.GetLineAtRequest,
        ledger_service_pb2.GetLineAtResponse,
    )

    list_entries = Method(
        "LedgerService",
        ledger_service_pb2.ListEntriesRequest,
        ledger_service_pb2.ListEntriesResponse,
    )

    grant_pass = Method(
        "PassService",
        pass_service_pb2.GrantPassRequest,
        pass_service_pb2.GrantPassResponse,
    )

    buy_pass = Method(
        "PassService",
        pass_service_pb2.BuyPassRequest,
        pass_service_pb2.BuyPassResponse,
    )

    refund_pass = Method(
        "PassService",
        pass_service_pb2.RefundPassRequest,
        pass_service_pb2.RefundPassResponse,
    )

    list_passes = Method(
        "PassService",
        pass_service_pb2.ListPassesRequest,
        pass_service_pb2.ListPassesResponse,
    )

    report_transfer = Method(
        "RailService",
        rail_service_pb2.ReportTransferRequest,
        rail_service_pb2.ReportTransferResponse,
    )

    list_transfers = Method(
        "RailService",
        rail_service_pb2.ListTransfersRequest,
        rail_service_pb2.ListTransfersResponse,
    )

    advance_clock = Method(
        "SandboxService",
        sandbox_service_pb2.AdvanceClockRequest,
        sandbox_service_pb2.AdvanceClockResponse,
    )

    apply_terms = Method(
        "TermsService",
        terms_service_pb2.ApplyTermsRequest,
        terms_service_pb2.ApplyTermsResponse,
    )

    validate_terms = Method(
        "TermsService",
        terms_service_pb2.ValidateTermsRequest,
        terms_service_pb2.ValidateTermsResponse,
    )

    activate_terms = Method(
        "TermsService",
        terms_service_pb2.ActivateTermsRequest,
        terms_service_pb2.ActivateTermsResponse,
    )

    retire_terms = Method(
        "TermsService",
        terms_service_pb2.RetireTermsRequest,
        terms_service_pb2.RetireTermsResponse,
    )

    list_terms = Method(
        "TermsService",
        terms_service_pb2.ListTermsRequest,
        terms_service_pb2.ListTermsResponse,
    )

    get_terms = Method(
        "TermsService",
        terms_service_pb2.GetTermsRequest,
        terms_service_pb2.GetTermsResponse,
    )

    diff_terms = Method(
        "TermsService",
        terms_service_pb2.DiffTermsRequest,
        terms_service_pb2.DiffTermsResponse,
    )

    preview_terms = Method(
        "TermsService",
        terms_service_pb2.PreviewTermsRequest,
        terms_service_pb2.PreviewTermsResponse,
    )
