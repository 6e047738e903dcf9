package api

import (
	"crypto/ed25519"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// submitRequest translates a submission. Its fields are in their ranges already.
func submitRequest(who auth.Principal, r *coordinatorv1.SubmitJobRequest) (dispatch.SubmitRequest, error) {
	request := dispatch.SubmitRequest{
		Client:    who.Account,
		Budget:    dispatch.Budget{Line: who.Line, PerDay: who.SpendPerDay},
		RequestID: r.GetRequestId(),
		Type:      r.GetType(),
		Model:     r.GetModel(),
		Options:   options(r.GetOptions()),
		// An absent timeout is a nil duration, which is zero: the default.
		Queue:     r.GetTimeouts().GetQueue().AsDuration(),
		Execution: r.GetTimeouts().GetExecution().AsDuration(),
		Total:     r.GetTimeouts().GetTotal().AsDuration(),
	}
	err := mayAsk(who, dispatch.FullName(r.GetModel()))
	if err != nil {
		return request, err
	}
	if request.Prompt, err = content(r); err != nil {
		return request, err
	}
	if err := checkFormat(r.GetOptions().GetFormat()); err != nil {
		return request, err
	}
	if request.Digest, err = parseDigest("model_digest", r.GetModelDigest()); err != nil {
		return request, err
	}
	if request.MaxPrice, err = maxPrice(r.GetMaxPrice()); err != nil {
		return request, err
	}
	if request.Priority, err = askedPriority(who, r.GetPriority()); err != nil {
		return request, err
	}
	request.Order, err = signedOrder(r.GetOrder())
	return request, err
}

func priority(word string) (aitbc.Priority, error) {
	p, err := aitbc.ParsePriority(word)
	if err != nil {
		return 0, apierr.InvalidField("priority", "must be low, normal or high").WithCause(err)
	}
	return p, nil
}

// askedPriority refuses a priority that the key is not for.
func askedPriority(who auth.Principal, word string) (aitbc.Priority, error) {
	asked, err := priority(word)
	if err != nil || asked <= who.Priority {
		return asked, err
	}
	e := apierr.InvalidField("priority", "the jobs of this API key may have the priority %s at most", who.Priority).With("priority", who.Priority.String())
	e.Reason = coordinatorv1.ErrorReason_ERROR_REASON_PRIORITY_NOT_ALLOWED
	return 0, e
}

// mayAsk refuses a model that the key is not for.
func mayAsk(who auth.Principal, model string) error {
	if who.MayAsk(model) {
		return nil
	}
	models := strings.Join(who.Models, ",")
	e := apierr.InvalidField("model", "this API key is not for the model %s, only for %s", model, models).With("model", model).With("models", models)
	e.Reason = coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_ALLOWED
	return e
}

func maxPrice(text string) (aitbc.Amount, error) {
	if text == "" {
		return 0, nil
	}
	amount, err := aitbc.ParseAmount(text)
	if err != nil || amount == 0 {
		return 0, apierr.InvalidField("max_price", "must be coin text above zero with at most six decimals, such as \"0.25aitbc\"").WithCause(err)
	}
	return amount, nil
}

func options(o *coordinatorv1.JobOptions) aitbc.Options {
	if o == nil {
		return aitbc.Options{}
	}
	return aitbc.Options{
		Temperature:   o.Temperature,
		NumPredict:    o.NumPredict,
		TopP:          o.TopP,
		TopK:          o.TopK,
		MinP:          o.MinP,
		RepeatPenalty: o.RepeatPenalty,
		Seed:          o.Seed,
		Stop:          o.GetStop(),
		Format:        o.GetFormat(),
	}
}

func signedOrder(o *coordinatorv1.SignedOrder) (*dispatch.SignedOrder, error) {
	if o == nil {
		return nil, nil
	}
	if n := len(o.GetPublicKey()); n != 0 && n != ed25519.PublicKeySize {
		return nil, apierr.InvalidField("order.public_key", "must be %d bytes long, got %d", ed25519.PublicKeySize, n)
	}
	signed := &dispatch.SignedOrder{Body: o.GetBody(), Signature: o.GetSignature(), Salt: aitbc.Salt(o.GetSalt())}
	if len(o.GetPublicKey()) != 0 {
		signed.PublicKey = ed25519.PublicKey(o.GetPublicKey())
	}
	return signed, nil
}
