package openai

import (
	"context"
	"encoding/json"
	"io"

	"google.golang.org/grpc/metadata"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/gateway"
)

// form writes the answers of one endpoint.
type form interface {
	// whole gives the body of an answer that is not streamed.
	whole(a about, job *coordinatorv1.Job) (any, error)
	// piece gives the chunks for more of the result's bytes.
	piece(a about, text string) []any
	// finish gives the chunks that follow the result's last byte. The last of them gets more fields.
	finish(a about, job *coordinatorv1.Job) ([]any, error)
	// ending gives a last chunk for the usage alone.
	ending(a about) any
}

// chunks is the events of a streamed answer.
type chunks struct {
	*listening
	ctx      context.Context
	question *question
	about    *about
	queue    []gateway.Event
	over     bool
}

var _ gateway.EventSource = (*chunks)(nil)

// Header implements gateway.EventSource; what there is to tell has been told.
func (*chunks) Header() (metadata.MD, error) { return nil, nil }

// Next implements gateway.EventSource.
func (c *chunks) Next() (gateway.Event, error) {
	for len(c.queue) == 0 {
		if c.over {
			return gateway.Event{}, io.EOF
		}
		if err := c.more(); err != nil {
			return gateway.Event{}, err
		}
	}
	event := c.queue[0]
	c.queue = c.queue[1:]
	return event, nil
}

func (c *chunks) more() error {
	before := c.said.Len()
	heard, err := c.next(c.ctx)
	switch {
	case err != nil:
		return err
	case heard.reset && before > 0:
		return errAnotherAnswer()
	case heard.job != nil:
		return c.end(heard.job)
	case heard.text != "":
		return c.put(c.question.form.piece(c.subject(nil), heard.text)...)
	}
	return nil
}

func (c *chunks) subject(job *coordinatorv1.Job) about {
	if c.about == nil {
		a := c.listening.about(c.question, job)
		c.about = &a
	}
	return *c.about
}

// end puts the rest of the answer, and what is known of it now, behind what was said.
func (c *chunks) end(job *coordinatorv1.Job) error {
	rest, err := c.rest(job.GetResult())
	if err != nil {
		return err
	}
	a, form := c.subject(job), c.question.form
	all := form.piece(a, rest)
	last, err := form.finish(a, job)
	if err != nil {
		return err
	}
	if all = append(all, last...); c.question.usage {
		all = append(all, form.ending(a))
	}
	if err := c.put(all[:len(all)-1]...); err != nil {
		return err
	}
	if err := c.putLast(all[len(all)-1], job); err != nil {
		return err
	}
	c.queue = append(c.queue, gateway.Event{Text: []byte("[DONE]")})
	c.over = true
	return nil
}

func (c *chunks) put(all ...any) error {
	for _, chunk := range all {
		text, err := json.Marshal(chunk)
		if err != nil {
			return apierr.Internal(err)
		}
		c.queue = append(c.queue, gateway.Event{Text: text})
	}
	return nil
}

// putLast puts the last chunk with the usage, if that was asked for, and the answer's provenance.
func (c *chunks) putLast(chunk any, job *coordinatorv1.Job) error {
	text, err := json.Marshal(chunk)
	if err != nil {
		return apierr.Internal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return apierr.Internal(err)
	}
	if c.question.usage {
		fields["usage"] = usageOf(job)
	}
	fields["aitbc"] = provenanceOf(job)
	return c.put(fields)
}
