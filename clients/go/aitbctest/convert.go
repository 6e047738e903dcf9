package aitbctest

import (
	"encoding/hex"
	"errors"

	"google.golang.org/grpc/codes"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// requestOf gives the request as the SDK's caller wrote it.
func requestOf(m *coordinatorv1.SubmitJobRequest) (aitbc.SubmitRequest, error) {
	req := aitbc.SubmitRequest{
		Prompt: m.GetPrompt(), Model: m.GetModel(), RequestID: m.GetRequestId(),
		Timeouts: aitbc.Timeouts{
			Queue:     m.GetTimeouts().GetQueue().AsDuration(),
			Execution: m.GetTimeouts().GetExecution().AsDuration(),
			Total:     m.GetTimeouts().GetTotal().AsDuration(),
		},
	}
	if o := m.GetOptions(); o != nil {
		req.Options = aitbc.Options{
			Temperature: o.Temperature, NumPredict: o.NumPredict, TopP: o.TopP, TopK: o.TopK,
			MinP: o.MinP, RepeatPenalty: o.RepeatPenalty, Seed: o.Seed, Stop: o.GetStop(),
			Format: o.GetFormat(),
		}
	}
	switch m.GetType() {
	case aitbc.TypeChat:
		req.Chat = chatOf(m)
	case aitbc.TypeEmbedding:
		req.Input = m.GetInput()
	}
	var err error
	if m.GetMaxPrice() != "" {
		if req.MaxPrice, err = aitbc.ParseAmount(m.GetMaxPrice()); err != nil {
			return req, invalidField("max_price", err.Error())
		}
	}
	if m.GetModelDigest() != "" {
		if req.ModelDigest, err = aitbc.ParseHash(m.GetModelDigest()); err != nil {
			return req, invalidField("model_digest", err.Error())
		}
	}
	return req, nil
}

func chatOf(m *coordinatorv1.SubmitJobRequest) *aitbc.Chat {
	chat := &aitbc.Chat{}
	for _, said := range m.GetMessages() {
		message := aitbc.ChatMessage{
			Role: said.GetRole(), Content: said.GetContent(), Thinking: said.GetThinking(), Images: said.GetImages(),
			ToolName: said.GetToolName(), ToolCallID: said.GetToolCallId(),
		}
		for _, call := range said.GetToolCalls() {
			message.ToolCalls = append(message.ToolCalls, aitbc.ChatToolCall{ID: call.GetId(), Name: call.GetName(), Arguments: call.GetArguments()})
		}
		chat.Messages = append(chat.Messages, message)
	}
	for _, tool := range m.GetTools() {
		chat.Tools = append(chat.Tools, aitbc.ChatTool{Name: tool.GetName(), Description: tool.GetDescription(), Parameters: tool.GetParameters()})
	}
	return chat
}

// asError makes any error one of the contract's, with the code that its reason has.
func asError(err error) *aitbc.Error {
	var known *aitbc.Error
	if !errors.As(err, &known) {
		return refusal(aitbc.ReasonInternal, codes.Internal, "internal error")
	}
	e := *known
	if e.Code == codes.OK {
		e.Code = codeOf(e.Reason)
	}
	return &e
}

func codeOf(reason aitbc.Reason) codes.Code {
	switch reason {
	case aitbc.ReasonInvalidField:
		return codes.InvalidArgument
	case aitbc.ReasonInvalidKey:
		return codes.Unauthenticated
	case aitbc.ReasonScopeMissing:
		return codes.PermissionDenied
	case aitbc.ReasonJobNotFound, aitbc.ReasonReceiptNotFound, aitbc.ReasonModelNotFound:
		return codes.NotFound
	case aitbc.ReasonInsufficientFunds, aitbc.ReasonWrongState:
		return codes.FailedPrecondition
	case aitbc.ReasonIdempotencyMismatch:
		return codes.AlreadyExists
	case aitbc.ReasonRateLimited:
		return codes.ResourceExhausted
	case aitbc.ReasonOverloaded, aitbc.ReasonLedgerUnavailable:
		return codes.Unavailable
	}
	return codes.Internal
}

// hashText makes something that looks like a transaction's hash.
func hashText(s string) string {
	h := aitbc.ResultHash([]byte(s))
	return hex.EncodeToString(h[:])
}
