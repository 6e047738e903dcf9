package aitbc_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func TestContentIsWhatTheVectorsHave(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, v := range readVectors(t).Vectors {
		if v.Kind != "payload" {
			continue
		}
		payload := decode[aitbc.Payload](t, v.Fields)
		var again string
		var err error
		switch payload.Type {
		case aitbc.TypeChat:
			chat, parseErr := aitbc.ParseChat(payload.Prompt)
			require.NoError(t, parseErr)
			again, err = chat.Content()
		case aitbc.TypeEmbedding:
			inputs, parseErr := aitbc.ParseEmbedding(payload.Prompt)
			require.NoError(t, parseErr)
			again, err = aitbc.EmbeddingContent(inputs)
		default:
			continue
		}
		require.NoError(t, err)
		require.Equal(t, payload.Prompt, again)
		seen[payload.Type] = true
	}
	require.Len(t, seen, 2)
}

func TestOnlyCanonicalContentIsRead(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"a space":             `{"messages":[{"content":"Hello", "role":"user"}]}`,
		"another order":       `{"messages":[{"role":"user","content":"Hello"}]}`,
		"a field set to none": `{"messages":[{"content":"Hello","role":"user","thinking":""}]}`,
		"an unknown field":    `{"messages":[],"temperature":1}`,
		"a name twice":        `{"messages":[{"content":"Hello","role":"user"}],"messages":[]}`,
		"something behind":    `{"messages":[{"content":"Hello","role":"user"}]}{}`,
		"no JSON":             `Hello`,
	} {
		_, err := aitbc.ParseChat(content)
		require.ErrorIs(t, err, aitbc.ErrMalformed, name)
	}
	_, err := aitbc.ParseEmbedding(`["a", "b"]`)
	require.ErrorIs(t, err, aitbc.ErrMalformed)
	_, err = aitbc.EmbeddingContent([]string{"\xff"})
	require.ErrorIs(t, err, aitbc.ErrMalformed)
}

func TestAnAnswerIsTheAssistants(t *testing.T) {
	t.Parallel()
	m, err := aitbc.ParseAnswer(`{"role":"assistant","content":"Hi","tool_calls":[{"name":"f","arguments":"{}"}]}`)
	require.NoError(t, err)
	require.Equal(t, aitbc.ChatMessage{Role: "assistant", Content: "Hi", ToolCalls: []aitbc.ChatToolCall{{Name: "f", Arguments: "{}"}}}, m)
	for _, result := range []string{"", "Hi", `{"role":"user","content":"Hi"}`, `{"role":"assistant","mood":"good"}`} {
		_, err := aitbc.ParseAnswer(result)
		require.ErrorIs(t, err, aitbc.ErrMalformed, result)
	}
	vectors, err := aitbc.ParseVectors(`[[0.5,1],[-1e-7]]`)
	require.NoError(t, err)
	require.Equal(t, [][]float32{{0.5, 1}, {-1e-7}}, vectors)
	_, err = aitbc.ParseVectors(`[["a"]]`)
	require.ErrorIs(t, err, aitbc.ErrMalformed)
}

// hear gives what a stream reads from pieces of that many bytes, cut between characters.
func hear(text string, size int) (delta aitbc.ChatDelta) {
	var stream aitbc.ChatStream
	piece := ""
	flush := func() {
		d := stream.Add(piece)
		delta.Content += d.Content
		delta.Thinking += d.Thinking
		piece = ""
	}
	for _, char := range text {
		if piece += string(char); len(piece) >= size {
			flush()
		}
	}
	flush()
	return delta
}

func TestAStreamedAnswerIsReadPieceByPiece(t *testing.T) {
	t.Parallel()
	content, thinking := "Grüße, 世界 😀 \"quoted\" \\ \n\t\u2028 {[,:]}", "Hm: \u0001"
	text := `{"role":"assistant","thinking":"` + aitbc.CanonicalText(thinking) + `","content":"` + aitbc.CanonicalText(content) +
		`","tool_calls":[{"name":"f","arguments":"{\"content\":\"not this\"}"}]}`
	want := aitbc.ChatDelta{Content: content, Thinking: thinking}
	for size := 1; size <= len(text); size++ {
		require.Equal(t, want, hear(text, size), "in pieces of %d bytes", size)
	}
	// Another writer's JSON: spaces, escapes of everything, nested things first.
	other, err := json.Marshal(content)
	require.NoError(t, err)
	escaped := strings.ReplaceAll(string(other), "😀", `\ud83d\ude00`)
	text = ` { "extra" : { "content" : [ "no" ] } , "n" : 1 , "content" : ` + escaped + ` }`
	require.Equal(t, content, hear(text, 1).Content)
}

func FuzzAnyPiecesAreReadWithoutHarm(f *testing.F) {
	f.Add(`{"role":"assistant","content":"Hi \u00e9"}`)
	f.Add(`}}]],"\u`)
	f.Fuzz(func(_ *testing.T, text string) { hear(text, 3) })
}
