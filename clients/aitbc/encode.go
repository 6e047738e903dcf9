package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The forms of answers.
const (
	outputText  = "text"
	outputJSON  = "json"
	outputYAML  = "yaml"
	outputJSONL = "jsonl"
)

func outputs() []string { return []string{outputText, outputJSON, outputYAML, outputJSONL} }

func (a *app) checkOutput() error {
	if !slices.Contains(outputs(), a.output) {
		unknown := a.output
		a.output = outputText // for the error
		return fmt.Errorf("--output is %q, want %s", unknown, strings.Join(outputs(), ", "))
	}
	return nil
}

// forPrograms reports whether answers are for programs.
func (a *app) forPrograms() bool { return a.output != outputText }

// encode prints one answer for programs.
func (a *app) encode(value any) error {
	switch a.output {
	case outputYAML:
		return encodeYAML(a.out, value)
	case outputJSONL:
		return encodeLines(a.out, value)
	}
	return encodeJSON(a.out, value, "  ")
}

// encodeEvent prints one of many answers for programs: a line, or a document of its own.
func (a *app) encodeEvent(value any) error {
	if a.output == outputYAML {
		if _, err := io.WriteString(a.out, "---\n"); err != nil {
			return err
		}
		return encodeYAML(a.out, value)
	}
	return encodeJSON(a.out, value, "")
}

func encodeJSON(out io.Writer, value any, indent string) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	return encoder.Encode(value)
}

// encodeLines writes a list an item a line, and anything else as one line.
func encodeLines(out io.Writer, value any) error {
	var text bytes.Buffer
	if err := encodeJSON(&text, value, ""); err != nil {
		return err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(text.Bytes(), &object) == nil && len(object) == 1 {
		for _, member := range object {
			var items []json.RawMessage
			if json.Unmarshal(member, &items) != nil {
				break
			}
			for _, item := range items {
				if _, err := out.Write(append(item, '\n')); err != nil {
					return err
				}
			}
			return nil
		}
	}
	_, err := out.Write(text.Bytes())
	return err
}

// encodeYAML writes what JSON would say, names and order included: JSON is YAML.
func encodeYAML(out io.Writer, value any) error {
	var text bytes.Buffer
	if err := encodeJSON(&text, value, ""); err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text.Bytes(), &document); err != nil {
		return err
	}
	unquote(&document)
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return err
	}
	return encoder.Close()
}

// unquote drops JSON's style, so that YAML's own is used.
func unquote(node *yaml.Node) {
	node.Style = 0
	for _, child := range node.Content {
		unquote(child)
	}
}
