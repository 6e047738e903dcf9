package openai

import (
	"context"
	"net/http"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// maxModels bounds the list; the contract's own path has pages.
const maxModels = 1000

type modelBody struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	OwnedBy string   `json:"owned_by"`
	Digests []string `json:"digests"`
	Miners  int32    `json:"miners"`
}

type modelsBody struct {
	Object string      `json:"object"`
	Data   []modelBody `json:"data"`
}

func modelOf(m *coordinatorv1.Model) modelBody {
	return modelBody{
		ID: m.GetId(), Object: m.GetObject(), Created: int64(m.GetCreated()), OwnedBy: m.GetOwnedBy(),
		Digests: m.GetDigests(), Miners: m.GetMiners(),
	}
}

func (h *Handler) listModels(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(outgoing(r), callTimeout)
	defer cancel()
	answer, err := h.network.ListModels(ctx, &coordinatorv1.ListModelsRequest{PageSize: maxModels})
	if err != nil {
		h.fail(ctx, w, err)
		return
	}
	body := modelsBody{Object: "list", Data: []modelBody{}}
	for _, m := range answer.GetData() {
		body.Data = append(body.Data, modelOf(m))
	}
	writeJSON(w, http.StatusOK, body)
}

func (h *Handler) getModel(w http.ResponseWriter, r *http.Request, name string) {
	ctx, cancel := context.WithTimeout(outgoing(r), callTimeout)
	defer cancel()
	answer, err := h.network.GetModel(ctx, &coordinatorv1.GetModelRequest{Model: name})
	if err != nil {
		h.fail(ctx, w, err)
		return
	}
	writeJSON(w, http.StatusOK, modelOf(answer.GetModel()))
}
