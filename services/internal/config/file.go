package config

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// entry is one setting of the file: a flat mapping from names to scalars or lists of scalars.
type entry struct {
	key    string
	values []string
	line   int
}

func parseFile(content []byte) ([]entry, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("want lines such as `ledger-url: http://127.0.0.1:26657`")
	}
	seen := make(map[string]int)
	var entries []entry
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if first, ok := seen[key.Value]; ok {
			return nil, fmt.Errorf("line %d: setting %q was given on line %d already", key.Line, key.Value, first)
		}
		seen[key.Value] = key.Line
		values, err := scalars(value)
		if err != nil {
			return nil, fmt.Errorf("line %d: setting %q: %w", key.Line, key.Value, err)
		}
		entries = append(entries, entry{key: key.Value, values: values, line: key.Line})
	}
	return entries, nil
}

// scalars keeps the text as it was written: the flag parses it, not YAML.
func scalars(node *yaml.Node) ([]string, error) {
	switch node.Kind {
	case yaml.ScalarNode:
		return []string{node.Value}, nil
	case yaml.SequenceNode:
		values := []string{}
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("a list may hold plain values only")
			}
			values = append(values, item.Value)
		}
		return values, nil
	default:
		return nil, errors.New("want a value or a list of values; settings do not nest")
	}
}
