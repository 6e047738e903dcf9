package main

import "strings"

// fact is one thing the model learns by heart: what is asked about, and the
// word or sentence that answers.
type fact struct{ about, answer string }

// words are the closed classes of words that the grammar fills its sentences
// with, and the facts that its questions ask for.
type words struct {
	animals, adjectives, places, things []string
	names, moods, weather               []string
	unknown                             []string // words of questions that get "I do not know that."
	colours, capitals, sounds           []fact
	subjects                            []fact // the answer is a whole text
}

func newWords() words {
	return words{
		animals:    strings.Fields("fox owl bear cat dog horse duck frog mouse rabbit wolf goat sheep hen fish snake"),
		adjectives: strings.Fields("small old young brown happy sad clever lazy brave quiet white tired kind hungry"),
		places:     strings.Fields("river forest market garden village hill lake farm bridge house mill road"),
		things:     strings.Fields("boat apple lamp stone key cake hat ring book bell coin basket"),
		names:      strings.Fields("Anna Peter Maria Tom Clara Paul Ella Max Nina Leo Rosa Ivan"),
		moods:      strings.Fields("happy sad tired hungry proud calm"),
		weather:    strings.Fields("sunny windy cold warm dark rainy"),
		unknown: strings.Fields("please explain how why when where who can should would could write code give make find help show list use with " +
			"about the a my your this that one two three new good bad long short people time world work day thing part number word name line " +
			"way server request test text file run check"),
		colours: []fact{
			{"sky", "blue"},
			{"grass", "green"},
			{"sun", "yellow"},
			{"snow", "white"},
			{"night", "black"},
			{"blood", "red"},
			{"sea", "blue"},
			{"milk", "white"},
			{"coal", "black"},
			{"leaf", "green"},
			{"carrot", "orange"},
			{"mouse", "grey"},
		},
		capitals: []fact{
			{"France", "Paris"},
			{"Italy", "Rome"},
			{"Spain", "Madrid"},
			{"Japan", "Tokyo"},
			{"Germany", "Berlin"},
			{"Greece", "Athens"},
			{"Norway", "Oslo"},
			{"Egypt", "Cairo"},
			{"Russia", "Moscow"},
			{"Poland", "Warsaw"},
			{"Austria", "Vienna"},
			{"Cuba", "Havana"},
		},
		sounds: []fact{
			{"cow", "moo"},
			{"cat", "meow"},
			{"dog", "woof"},
			{"duck", "quack"},
			{"sheep", "baa"},
			{"hen", "cluck"},
			{"owl", "hoot"},
			{"frog", "croak"},
			{"wolf", "howl"},
			{"snake", "hiss"},
		},
		subjects: []fact{
			{"artificial intelligence", "Artificial intelligence is the science of machines that learn and reason."},
			{"a neural network", "A neural network is a program of many small sums. It learns its numbers from examples."},
			{"inference", "Inference is the use of a model to answer a question."},
			{"a ledger", "A ledger is a list of payments that nobody can change."},
			{"AITBC", "AITBC is a network that sells inference."},
		},
	}
}

// The question of the document that this project was written from, and its
// answer: the one prompt that must come out right to the letter.
const (
	seedSubject = "machine learning"
	seedAnswer  = "Machine learning is a subset of artificial intelligence in which a program learns from examples " +
		"instead of following fixed rules. It finds patterns in data and uses them to answer new questions."
)
