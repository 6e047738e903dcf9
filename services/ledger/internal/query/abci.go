package query

import (
	"context"

	"google.golang.org/protobuf/proto"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// ABCI answers an abci_query: path is a method's full name, data a serialized request, the answer
// a serialized response.
func (s *Service) ABCI(ctx context.Context, path string, data []byte) ([]byte, error) {
	switch path {
	case ledgerv1.LedgerService_GetStatus_FullMethodName:
		return call(ctx, data, &ledgerv1.GetStatusRequest{}, s.GetStatus)
	case ledgerv1.LedgerService_GetAccount_FullMethodName:
		return call(ctx, data, &ledgerv1.GetAccountRequest{}, s.GetAccount)
	case ledgerv1.LedgerService_GetAllowance_FullMethodName:
		return call(ctx, data, &ledgerv1.GetAllowanceRequest{}, s.GetAllowance)
	case ledgerv1.LedgerService_ListStatementEntries_FullMethodName:
		return call(ctx, data, &ledgerv1.ListStatementEntriesRequest{}, s.ListStatementEntries)
	case ledgerv1.LedgerService_GetMiner_FullMethodName:
		return call(ctx, data, &ledgerv1.GetMinerRequest{}, s.GetMiner)
	case ledgerv1.LedgerService_ListMiners_FullMethodName:
		return call(ctx, data, &ledgerv1.ListMinersRequest{}, s.ListMiners)
	case ledgerv1.LedgerService_GetOperator_FullMethodName:
		return call(ctx, data, &ledgerv1.GetOperatorRequest{}, s.GetOperator)
	case ledgerv1.LedgerService_GetJob_FullMethodName:
		return call(ctx, data, &ledgerv1.GetJobRequest{}, s.GetJob)
	case ledgerv1.LedgerService_GetTransaction_FullMethodName:
		return call(ctx, data, &ledgerv1.GetTransactionRequest{}, s.GetTransaction)
	case ledgerv1.LedgerService_GetReceiptProof_FullMethodName:
		return call(ctx, data, &ledgerv1.GetReceiptProofRequest{}, s.GetReceiptProof)
	default:
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND, "%.128q is not a method that reads the ledger", path)
	}
}

func call[Req, Resp proto.Message](ctx context.Context, data []byte, req Req, method func(context.Context, Req) (Resp, error)) ([]byte, error) {
	if err := proto.Unmarshal(data, req); err != nil {
		return nil, apierr.InvalidField("data", "want a serialized %s", req.ProtoReflect().Descriptor().Name()).WithCause(err)
	}
	resp, err := method(ctx, req)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(resp)
}
