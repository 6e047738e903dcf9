package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// chatting is the flags of a chat.
type chatting struct {
	submission
	system, messages, tools string
}

func newChat(a *app) *cobra.Command {
	var job chatting
	cmd := &cobra.Command{
		Use: "chat", Short: "Submit a chat", Args: cobra.NoArgs,
		Long: "The messages are those of --messages, with --system before and --prompt, as the user's, behind them.",
		Example: `  aitbc submit chat --prompt "What is machine learning?" --system "Be brief." --model llama3.2:latest --stream
  aitbc submit chat --messages talk.json --tools tools.json --model llama3.2:latest --wait`,
	}
	job.register(cmd)
	cmd.Flags().StringVar(&job.system, "system", "", "what the model is told before the conversation")
	cmd.Flags().StringVar(&job.messages, "messages", "", `a JSON file with a list of messages: [{"role":"user","content":"..."}]`)
	cmd.Flags().StringVar(&job.tools, "tools", "", `a JSON file with a list of tools: [{"name":"...","description":"...","parameters":"(JSON schema as text)"}]`)
	cmd.MarkFlagsOneRequired("prompt", "prompt-file", "messages")
	a.submits(cmd, job.request)
	return cmd
}

func (c *chatting) request(a *app) (aitbc.SubmitRequest, error) {
	req, err := c.terms()
	if err != nil {
		return req, err
	}
	req.Chat = &aitbc.Chat{}
	if c.system != "" {
		req.Chat.Messages = append(req.Chat.Messages, aitbc.ChatMessage{Role: "system", Content: c.system})
	}
	var messages []aitbc.ChatMessage
	err = errors.Join(readJSON("messages", c.messages, &messages), readJSON("tools", c.tools, &req.Chat.Tools))
	req.Chat.Messages = append(req.Chat.Messages, messages...)
	if c.prompt != "" || c.promptFile != "" {
		prompt, promptErr := c.readPrompt(a)
		err = errors.Join(err, promptErr)
		req.Chat.Messages = append(req.Chat.Messages, aitbc.ChatMessage{Role: "user", Content: prompt})
	}
	if err != nil {
		return req, usageError{err}
	}
	return req, nil
}

// readJSON reads a flag's file; none when the flag was not given.
func readJSON(flag, file string, into any) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	return nil
}

func newEmbedding(a *app) *cobra.Command {
	var job submission
	var inputs []string
	cmd := &cobra.Command{
		Use: "embedding", Short: "Submit texts to make vectors of", Args: cobra.NoArgs,
		Example: `  aitbc submit embedding --input "machine learning" --input "cooking" --model nomic-embed-text --wait`,
	}
	job.registerTerms(cmd)
	cmd.Flags().StringArrayVar(&inputs, "input", nil, "a text; may be repeated")
	if err := cmd.MarkFlagRequired("input"); err != nil {
		panic(err) // the flag is made above
	}
	a.submits(cmd, func(*app) (aitbc.SubmitRequest, error) {
		req, err := job.terms()
		req.Input = inputs
		return req, err
	})
	return cmd
}
