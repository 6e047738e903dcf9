package openai

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// Everything that OpenAI's chat can say and ours can, in one request.
const wholeChat = `{
	"model": "tiny", "temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": "END", "max_completion_tokens": 9, "max_price": "1aitbc",
	"stream": true, "stream_options": {"include_usage": true}, "user": "u", "n": 1, "logprobs": null, "parallel_tool_calls": true,
	"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "b": 1}}},
	"tools": [{"type": "function", "function": {"name": "weather", "description": "Of a city.", "parameters": {"type": "object"}}}],
	"messages": [
		{"role": "developer", "content": "Be brief."},
		{"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}}]},
		{"role": "assistant", "content": null, "refusal": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}]},
		{"role": "tool", "tool_call_id": "c1", "content": "sun"}
	]}`

func TestAWholeChatIsUnderstood(t *testing.T) {
	t.Parallel()
	q, err := readChat([]byte(wholeChat))
	require.NoError(t, err)
	require.True(t, q.stream)
	require.True(t, q.usage)
	job := q.job
	require.Equal(t, aitbc.TypeChat, job.GetType())
	require.Equal(t, []string{"END"}, job.GetOptions().GetStop())
	require.EqualValues(t, 9, job.GetOptions().GetNumPredict())
	require.EqualValues(t, 7, job.GetOptions().GetSeed())
	require.Equal(t, `{"type": "object", "b": 1}`, job.GetOptions().GetFormat(), "the schema as it is")
	require.Equal(t, "1aitbc", job.GetMaxPrice())
	require.Equal(t, "weather", job.GetTools()[0].GetName())
	m := job.GetMessages()
	require.Len(t, m, 4)
	require.Equal(t, "system", m[0].GetRole())
	require.Equal(t, "Look: ", m[1].GetContent())
	require.Equal(t, [][]byte{{0, 1, 2}}, m[1].GetImages())
	require.Equal(t, "{}", m[2].GetToolCalls()[0].GetArguments())
	require.Equal(t, "weather", m[3].GetToolName(), "the tool is that of the call it answers")
}

func TestWhatIsNotSupportedIsNamed(t *testing.T) {
	t.Parallel()
	for field, body := range map[string]string{
		"body":                               `[]`,
		"logit_bias":                         `{"logit_bias": {"5": 1}}`,
		"tool_choice":                        `{"tool_choice": "required"}`,
		"tools[0].type":                      `{"tools": [{"type": "web_search"}]}`,
		"stream_options":                     `{"stream_options": {}}`,
		"max_tokens":                         `{"max_tokens": 1, "max_completion_tokens": 2}`,
		"seed":                               `{"seed": 99999999999}`,
		"stop":                               `{"stop": 1}`,
		"response_format.type":               `{"response_format": {"type": "xml"}}`,
		"response_format.json_schema.schema": `{"response_format": {"type": "json_schema"}}`,
		"messages[0]":                        `{"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}`,
	} {
		_, err := readChat([]byte(body))
		var refused *apierr.Error
		require.ErrorAs(t, err, &refused, body)
		require.Equal(t, field, refused.Violations[0].Field)
	}
	_, err := readCompletion([]byte(`{"prompt": ["a", "b"]}`))
	require.Error(t, err, "a job has one answer")
	_, err = readEmbedding([]byte(`{"input": [[1, 2]]}`))
	require.Error(t, err, "tokens mean nothing to another model")
}

// job is one whose answer wants tools called.
func toolJob() *coordinatorv1.Job {
	return &coordinatorv1.Job{
		JobId: "job_01", MinerId: "m", ModelDigest: "0123456789abcdef", Attempts: 2, Billed: "0.25aitbc",
		Result:  `{"role":"assistant","content":"","tool_calls":[{"name":"weather","arguments":"{\"city\":\"Rome\"}"}]}`,
		Metrics: &coordinatorv1.JobMetrics{PromptTokens: 3, TokensGenerated: 4, FinishReason: "tool_calls"},
	}
}

func TestToolCallsAreOpenAIs(t *testing.T) {
	t.Parallel()
	a := about{id: "01", created: 5, model: "tiny"}
	body, err := (&chatForm{}).whole(a, toolJob())
	require.NoError(t, err)
	text, err := json.Marshal(body)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"chatcmpl-01","object":"chat.completion","created":5,"model":"tiny","system_fingerprint":"fp_0123456789ab",
		"choices":[{"index":0,"logprobs":null,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,"refusal":null,
			"tool_calls":[{"id":"call_01_0","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}}]}}],
		"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7},
		"aitbc":{"job_id":"job_01","receipt_id":"receipt_01","receipt_state":"pending","miner_id":"m","model_digest":"0123456789abcdef","attempt":2,"cost":"0.25aitbc"}}`,
		string(text))
}

func TestAStreamSaysWhatTheResultSays(t *testing.T) {
	t.Parallel()
	job := toolJob()
	q := &question{model: "tiny", stream: true, usage: true, form: &chatForm{}}
	c := &chunks{listening: &listening{id: "job_01", created: 5}, question: q}
	c.said.WriteString(job.GetResult()[:20]) // was streamed before
	require.NoError(t, c.end(job))
	var all []string
	for {
		event, err := c.Next()
		if err != nil {
			break
		}
		all = append(all, string(event.Text))
	}
	require.Len(t, all, 5, "%s", all)
	require.Contains(t, all[0], `"delta":{"role":"assistant","content":""}`)
	require.Contains(t, all[1], `"tool_calls":[{"index":0,"id":"call_01_0"`)
	require.Contains(t, all[2], `"finish_reason":"tool_calls"`)
	require.Contains(t, all[3], `"choices":[]`)
	require.Contains(t, all[3], `"total_tokens":7`)
	require.Contains(t, all[3], `"receipt_id":"receipt_01"`)
	require.Equal(t, "[DONE]", all[4])

	other := &chunks{listening: &listening{id: "job_01"}, question: q}
	other.said.WriteString("something else")
	require.Error(t, other.end(job), "what was said is not what was signed")
}

func TestVectorsAsBytes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "AACAPwAAAMA=", asBase64([]float32{1, -2}))
}
