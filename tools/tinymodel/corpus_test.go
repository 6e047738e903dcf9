package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/tinymodel/model"
)

func grammarOf(seed uint64) *grammar { return newGrammar(rand.New(rand.NewPCG(seed, 0))) }

func TestTheGrammarMakesTheSameTextEverywhere(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte(strings.Join(grammarOf(1).documents(tokenizerDocuments), "\n")))
	require.Equal(t, "37388ae7911544400dc23b0a3f518d214b7dddddadeb762c439d952112d5d269", hex.EncodeToString(sum[:]),
		"the text has changed: train the model again and ship that")
	require.NotEqual(t, grammarOf(1).document(), grammarOf(2).document())
}

func TestTheShippedModelWasTrainedOnThisText(t *testing.T) {
	t.Parallel()
	tok := newTokenizer(grammarOf(1).documents(tokenizerDocuments), vocabularyOf)
	var w ggufWriter
	w.text("tokenizer.ggml.merges")
	require.NoError(t, w.value(tok.merges))
	require.True(t, bytes.Contains(model.File(), w.bytes), "the merges in the file are not those of this text")
	require.Equal(t, model.Question, "What is "+seedSubject+"?")
	require.Equal(t, model.Answer, seedAnswer)
	require.Len(t, tok.encode(seedAnswer), model.AnswerTokens-1, "Ollama counts the end token")
}

func TestEveryFormOfQuestionHasAnAnswerThatFitsAWindow(t *testing.T) {
	t.Parallel()
	g := grammarOf(3)
	tok := newTokenizer(g.documents(tokenizerDocuments), vocabularyOf)
	for i, form := range g.forms {
		for range 50 {
			question, answer := form()
			require.NotEmpty(t, question)
			require.NotEmpty(t, answer)
			require.Less(t, len(tok.encode(question+answer)), trainWindow, "form %d: %s", i, question)
		}
	}
}

func TestTheTokenizerGivesBackAnyText(t *testing.T) {
	t.Parallel()
	tok := newTokenizer(grammarOf(1).documents(50), 400)
	for _, text := range []string{
		"", "What is 3 plus 4?", "<|begin|><|user|>Hi.<|assistant|>", "naïve  größe\t日本語 🦊\x00\n", "<|end", "a<|end|><|end|>b",
	} {
		require.Equal(t, text, tok.decode(tok.encode(text)))
	}
	require.Equal(t, []int{tokenBegin, tokenEnd}, tok.encode("<|begin|><|end|>"))
}

func TestATextWithNothingToMergeGivesFewerTokens(t *testing.T) {
	t.Parallel()
	require.Len(t, newTokenizer([]string{"a b c"}, 400).tokens, 5+256+2, "the two merges are of a space and a letter")
}
