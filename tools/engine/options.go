package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/aitbc/aitbc/tools/tinymodel/model"
)

// Model is one model that the engine must serve. All that we make come from
// the shipped file in tools/tinymodel/model.
type Model struct {
	// Name in the engine, as a job gives it.
	Name string
	// Quantize is the format that Ollama converts the shipped file to, such as
	// "q8_0" or "q4_K_M"; empty leaves it as it is. A quantised model answers
	// much like the original, but not the same: an honest wrong model.
	Quantize string
	// Foreign says that the model is somebody else's, so only a server that
	// already has it will do: nothing is created or downloaded.
	Foreign bool
}

// Tiny is the shipped model under its own name.
func Tiny() Model { return Model{Name: model.Name} }

// TinyQ8 is the shipped model quantised to eight bits, under a name of its own.
func TinyQ8() Model { return Model{Name: model.Name + "-q8", Quantize: "q8_0"} }

// Options say which engine Start gives. The zero value means: any that serves Tiny.
type Options struct {
	// Models that the engine must serve; none means Tiny. The first one is
	// asked a question before Start returns.
	Models []Model
	// Own makes Start pass over a server that already runs, as a test must that
	// kills its engine.
	Own bool
	// Host is the base URL at which a running server is looked for; empty means
	// what OLLAMA_HOST says, and without it http://127.0.0.1:11434.
	Host string
	// Addr is where a server of our own listens; empty means 127.0.0.1:0, a free port.
	Addr string
	// Dir is the folder for model store, home and log of a server of our own.
	// Empty means a temporary one, removed when the engine ends. With a folder
	// of your own and a fixed Addr, an engine can be killed and started again.
	Dir string
	// Env is added to the environment of a server of our own, as in
	// "OLLAMA_NUM_PARALLEL=4".
	Env []string
	// Progress receives a line of text, for people, about whatever takes longer
	// than two seconds; nil means nobody is told.
	Progress io.Writer
}

var errNoName = errors.New("a model has no name")

// Validate reports every fault of the options.
func (o Options) Validate() error {
	var errs []error
	for _, m := range o.Models {
		if m.Name == "" {
			errs = append(errs, errNoName)
		}
		if m.Foreign && m.Quantize != "" {
			errs = append(errs, fmt.Errorf("model %s is foreign, so it cannot be quantised here", m.Name))
		}
		if m.Foreign && o.Own {
			errs = append(errs, fmt.Errorf("model %s is foreign, so no engine of our own can serve it", m.Name))
		}
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if len(o.Models) == 0 {
		o.Models = []Model{Tiny()}
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o
}

// foreign returns the name of the first foreign model, or "".
func (o Options) foreign() string {
	for _, m := range o.Models {
		if m.Foreign {
			return m.Name
		}
	}
	return ""
}
