package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// small is a network that a test can afford, with every part that a big one has.
func small() shape {
	s := newShape(64, 2)
	s.window = 12
	return s
}

func TestGradientsAgreeWithFiniteDifferences(t *testing.T) {
	t.Parallel()
	s := small()
	r := rand.New(rand.NewPCG(1, 0))
	w, d, scratch, p := newWeights(s), newWeights(s), newWeights(s), newPass(s)
	w.randomise(s, r)
	tokens := make([]int, s.window+1)
	for i := range tokens {
		tokens[i] = r.IntN(s.vocab)
	}
	p.learn(w, d, tokens, 1)

	places := []int{tokens[0] * s.dim, tokens[5]*s.dim + 3} // an embedding that is used
	for range 30 {
		places = append(places, s.vocab*s.dim+r.IntN(len(w.flat)-s.vocab*s.dim))
	}
	for _, i := range places {
		const h = 1e-2
		old := w.flat[i]
		w.flat[i] = old + h
		up := p.learn(w, scratch, tokens, 1)
		w.flat[i] = old - h
		down := p.learn(w, scratch, tokens, 1)
		w.flat[i] = old
		estimate := (up - down) / (2 * h)
		// float32 sums and the curve over 2h leave a few parts in a hundred.
		require.InDelta(t, estimate, float64(d.flat[i]), 0.02+0.03*math.Abs(estimate), "weight %d", i)
	}
}

func TestAShortWindowIsNotReachedByWhatALongerOneLeft(t *testing.T) {
	t.Parallel()
	s := small()
	w, fresh, used := newWeights(s), newPass(s), newPass(s)
	w.randomise(s, rand.New(rand.NewPCG(1, 0)))
	used.forward(w, []int{9, 8, 7, 6, 5, 4, 3, 2, 1})
	used.forward(w, []int{3, 4, 5})
	fresh.forward(w, []int{3, 4, 5})
	require.Equal(t, fresh.logits.top(3).data, used.logits.top(3).data)
}

func TestTrainingLowersTheLoss(t *testing.T) {
	t.Parallel()
	s := small()
	tr := newTrainer(s, rand.New(rand.NewPCG(1, 0)))
	batch := [][]int{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, {20, 21, 20, 21, 20, 21, 20, 21, 20, 21, 20, 21, 20}, {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}}
	first := tr.step(batch, 1e-3)
	last := first
	for range 30 {
		last = tr.step(batch, 1e-2)
	}
	require.InDelta(t, math.Log(vocabularyOf), first, 1, "a random network guesses")
	require.Less(t, last, first/2)
}

func TestTheSameSettingsGiveTheSameFile(t *testing.T) {
	t.Parallel()
	s := settings{steps: 1, batch: 3, seed: 1, shape: newShape(32, 1), half: true}
	first, err := train(t.Context(), s, io.Discard)
	require.NoError(t, err)
	second, err := train(t.Context(), s, io.Discard)
	require.NoError(t, err)
	require.True(t, slices.Equal(first, second))

	s.seed = 2
	third, err := train(t.Context(), s, io.Discard)
	require.NoError(t, err)
	require.False(t, slices.Equal(first, third))
}

func TestTheLearningRateRisesAndFalls(t *testing.T) {
	t.Parallel()
	var rates []string
	for _, step := range []int{0, 49, 1250, 2499} {
		rates = append(rates, fmt.Sprintf("%.1e", rateAt(step, 2500)))
	}
	require.Equal(t, []string{"8.0e-05", "4.0e-03", "2.0e-03", "8.0e-05"}, rates)
}

func TestImpossibleFlagsAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-dim", "16"}, {"-dim", "0"}, {"-steps", "-1"}, {"-batch", "0"}, {"-layers", "0"}, {"-nonsense"}} {
		require.Error(t, run(t.Context(), args, io.Discard), args)
	}
}
