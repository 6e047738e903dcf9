package aitbc

import "fmt"

// Priority is which of the jobs that wait for a model go first; zero is PriorityNormal. docs/scheduling.md
// says how much sooner. Who asks for PriorityHigh needs an API key that allows it.
type Priority int8

// The priorities.
const (
	PriorityLow    Priority = -1
	PriorityNormal Priority = 0
	PriorityHigh   Priority = 1
)

// String gives the API's word: "low", "normal" or "high".
func (p Priority) String() string {
	switch p {
	case PriorityLow:
		return "low"
	case PriorityNormal:
		return "normal"
	case PriorityHigh:
		return "high"
	}
	return fmt.Sprintf("Priority(%d)", int8(p))
}

// ParsePriority reads the API's word; empty is PriorityNormal.
func ParsePriority(word string) (Priority, error) {
	for p := PriorityLow; p <= PriorityHigh; p++ {
		if word == p.String() {
			return p, nil
		}
	}
	if word == "" {
		return PriorityNormal, nil
	}
	return 0, fmt.Errorf("%q is no priority: want low, normal or high", word)
}

// MarshalText gives the API's word.
func (p Priority) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the API's word.
func (p *Priority) UnmarshalText(word []byte) (err error) {
	*p, err = ParsePriority(string(word))
	return err
}
