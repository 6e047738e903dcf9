package settlement

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// newEntry makes the message that is owed from its job. Errors: the job's state does not allow the
// message, which is a fault of ours.
func newEntry(owed store.Owed) (*entry, error) {
	message, err := encode(owed.Kind, owed.Job)
	if err != nil {
		return nil, fmt.Errorf("make message %s of %s: %w", owed.Kind, owed.Job.ID, err)
	}
	const header = 8 // tag and length of a repeated field
	return &entry{
		key: key{owed.Job.ID, owed.Kind}, seq: owed.Seq, job: owed.Job,
		message: message, bytes: proto.Size(message) + header,
	}, nil
}

func encode(kind job.Message, j job.Job) (*ledgerv1.Message, error) {
	switch kind {
	case job.SubmitJob:
		return &ledgerv1.Message{Message: &ledgerv1.Message_SubmitJob{SubmitJob: submitJob(j)}}, nil
	case job.RecordReceipt:
		if j.Completion == nil {
			return nil, fmt.Errorf("the job has no accepted result")
		}
		return &ledgerv1.Message{Message: &ledgerv1.Message_RecordReceipt{RecordReceipt: recordReceipt(j)}}, nil
	case job.RefundJob:
		if j.Phase == job.Escrowing {
			return nil, fmt.Errorf("its escrow is not known to be committed: a refund must not overtake it")
		}
		refund := &ledgerv1.RefundJob{
			JobId:  j.ID[:],
			Reason: strings.TrimPrefix(j.Failure.Reason.String(), "ERROR_REASON_"),
		}
		return &ledgerv1.Message{Message: &ledgerv1.Message_RefundJob{RefundJob: refund}}, nil
	default:
		return nil, fmt.Errorf("no such kind of message")
	}
}

func submitJob(j job.Job) *ledgerv1.SubmitJob {
	o := j.Order
	return &ledgerv1.SubmitJob{
		Client:            o.Client[:],
		JobId:             o.JobID[:],
		PayloadCommitment: o.PayloadCommitment[:],
		PriceUaitbc:       int64(o.Price),
		MaxPriceUaitbc:    int64(o.MaxPrice),
		ExecutionLimitUs:  o.ExecutionLimitUS,
		SettleByUs:        o.SettleByUS,
		ExpiresUs:         o.ExpiresUS,
		ClientSignature:   j.OrderSignature,
		ClientPublicKey:   j.ClientKey,
	}
}

// recordReceipt leaves out the operator's own signatures: its signature of the transaction stands
// for them.
func recordReceipt(j job.Job) *ledgerv1.RecordReceipt {
	s := j.Completion.Statement
	lease := j.Lease()
	receipt := &ledgerv1.RecordReceipt{
		JobId:              s.JobID[:],
		Attempt:            s.Attempt,
		Miner:              lease.Miner[:],
		Model:              s.Model,
		ModelDigest:        s.ModelDigest[:],
		LeaseIssuedUs:      lease.IssuedUS,
		ResultCommitment:   s.ResultCommitment[:],
		ComputeUs:          s.ComputeUS,
		PromptTokens:       s.PromptTokens,
		OutputTokens:       s.OutputTokens,
		Engine:             s.Engine,
		Stopped:            s.Stopped,
		StatementSignature: j.Completion.Signature,
		MeteredUs:          j.Completion.MeteredUS,
	}
	if s.Running {
		receipt.Running = &s.Running // only then: ledgers with older rules do not know the field
	}
	return receipt
}
