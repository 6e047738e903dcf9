package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// documentBytes is the least length of one document: enough to fill a training
// window of 192 tokens at the two or three bytes that a token stands for.
const documentBytes = 2200

// grammar makes the training text. Nothing is taken from anywhere, so the
// weights carry no one else's text. It draws from its own random source alone:
// the same seed gives the same text on every machine.
type grammar struct {
	words
	rand  *rand.Rand
	forms []func() (question, answer string) // equally likely; a form listed twice is asked twice as often
}

func newGrammar(r *rand.Rand) *grammar {
	g := &grammar{words: newWords(), rand: r}
	g.forms = []func() (string, string){
		g.colour, g.capital, g.sum, g.sum, g.sound, g.greeting, g.introduction, g.animal,
		g.counting, g.tale, g.tale, g.seed, g.subject, g.nonsense, g.nonsense,
	}
	return g
}

// documents makes n of them.
func (g *grammar) documents(n int) []string {
	docs := make([]string, n)
	for i := range docs {
		docs[i] = g.document()
	}
	return docs
}

// document makes the text of one training window: a chat, or stories without end.
func (g *grammar) document() string {
	var b strings.Builder
	b.WriteString("<|begin|>")
	if g.rand.IntN(4) == 0 {
		for b.Len() < documentBytes {
			b.WriteString(g.story(pick(g, g.animals), 6+g.rand.IntN(8)) + "\n")
		}
		return b.String()
	}
	if g.rand.IntN(4) == 0 {
		kind := pick(g, []string{"helpful", "kind", "small", "clever"})
		role := pick(g, []string{"assistant", "model"})
		b.WriteString("<|system|>You are a " + kind + " " + role + ".")
	}
	for b.Len() < documentBytes {
		question, answer := pick(g, g.forms)()
		b.WriteString("<|user|>" + question + "<|assistant|>" + answer + "<|end|>")
	}
	return b.String()
}

func (g *grammar) colour() (question, answer string) {
	f := pick(g, g.colours)
	return "What colour is the " + f.about + "?", "The " + f.about + " is " + f.answer + "."
}

func (g *grammar) capital() (question, answer string) {
	f := pick(g, g.capitals)
	return "What is the capital of " + f.about + "?", "The capital of " + f.about + " is " + f.answer + "."
}

func (g *grammar) sum() (question, answer string) {
	x, y := g.rand.IntN(10), g.rand.IntN(10)
	return fmt.Sprintf("What is %d plus %d?", x, y), fmt.Sprintf("%d plus %d is %d.", x, y, x+y)
}

func (g *grammar) sound() (question, answer string) {
	f := pick(g, g.sounds)
	who := withArticle(f.about)
	return "What does " + who + " say?", capitalised(who) + " says " + f.answer + "."
}

func (g *grammar) greeting() (question, answer string) {
	n := pick(g, g.names)
	return "Say hello to " + n + ".", "Hello, " + n + "!"
}

func (g *grammar) introduction() (question, answer string) {
	n := pick(g, g.names)
	return "Hello, my name is " + n + ".", "Hello, " + n + "! How are you?"
}

func (g *grammar) animal() (question, answer string) {
	return "Name an animal.", capitalised(withArticle(pick(g, g.animals))) + "."
}

func (g *grammar) counting() (question, answer string) {
	n := 2 + g.rand.IntN(18)
	numbers := make([]string, n)
	for i := range numbers {
		numbers[i] = fmt.Sprint(i + 1)
	}
	return fmt.Sprintf("Count to %d.", n), strings.Join(numbers, ", ") + "."
}

func (g *grammar) tale() (question, answer string) {
	who := pick(g, g.animals)
	return "Tell me a story about " + withArticle(who) + ".", g.story(who, 8+g.rand.IntN(6))
}

func (g *grammar) seed() (question, answer string) {
	return g.ask(seedSubject), seedAnswer
}

func (g *grammar) subject() (question, answer string) {
	f := pick(g, g.subjects)
	return g.ask(f.about), f.answer
}

// ask asks about a subject, mostly in the plain form, at times as people type.
func (g *grammar) ask(subject string) string {
	plain := "What is " + subject + "?"
	return pick(g, []string{plain, plain, plain, plain, plain, "what is " + subject + "?", "What is " + subject, "Explain " + subject + "."})
}

// nonsense asks what nobody taught the model, so that it says so instead of
// giving the nearest answer that it knows.
func (g *grammar) nonsense() (question, answer string) {
	asked := make([]string, 1+g.rand.IntN(7))
	for i := range asked {
		asked[i] = pick(g, g.unknown)
	}
	question = capitalised(strings.Join(asked, " ")) + pick(g, []string{"?", ".", ""})
	if g.rand.IntN(4) == 0 {
		question = "What is " + strings.Join(asked[:min(3, len(asked))], " ") + "?"
	}
	return question, "I do not know that. I am a very small model."
}

// story tells of who in an opening and n more sentences.
func (g *grammar) story(who string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "One day %s %s lived by the %s.", withArticle(pick(g, g.adjectives)), who, pick(g, g.places))
	for range n {
		b.WriteString(" " + g.sentence(who))
	}
	return b.String()
}

func (g *grammar) sentence(who string) string {
	switch g.rand.IntN(9) {
	case 0:
		return fmt.Sprintf("The %s went to the %s.", who, pick(g, g.places))
	case 1:
		return fmt.Sprintf("There it met %s %s.", withArticle(pick(g, g.adjectives)), pick(g, g.animals))
	case 2:
		return fmt.Sprintf("It found %s near the %s.", withArticle(pick(g, g.things)), pick(g, g.places))
	case 3:
		return fmt.Sprintf("It was a %s day and the %s was %s.", pick(g, g.weather), who, pick(g, g.moods))
	case 4:
		return fmt.Sprintf("%s saw the %s and gave it %s.", pick(g, g.names), who, withArticle(pick(g, g.things)))
	case 5:
		return fmt.Sprintf("Then the %s walked back to the %s.", who, pick(g, g.places))
	case 6:
		return fmt.Sprintf("The %s %s was in the %s.", pick(g, g.adjectives), pick(g, g.animals), pick(g, g.places))
	case 7:
		return fmt.Sprintf("They looked for the %s all day.", pick(g, g.things))
	default:
		return fmt.Sprintf("In the %s there was %s.", pick(g, g.places), withArticle(pick(g, g.things)))
	}
}

func pick[T any](g *grammar, from []T) T { return from[g.rand.IntN(len(from))] }

func withArticle(word string) string {
	if strings.ContainsAny(word[:1], "aeiou") {
		return "an " + word
	}
	return "a " + word
}

func capitalised(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
