package main

import (
	"slices"
	"strings"
	"unicode"
)

const (
	tokenBegin = 0
	tokenEnd   = 1
)

// specialTokens come first in the vocabulary; they frame the conversation.
func specialTokens() []string {
	return []string{"<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"}
}

// pair is two neighbouring symbols.
type pair [2]string

// tokenizer is byte-pair encoding over bytes, in GPT-2's form: the special
// tokens, the 256 bytes, then the merges in order. Merges stay inside an
// optional space and letters, which every pre-tokenizer in llama.cpp and Ollama
// keeps whole, so the choice of tokenizer.ggml.pre changes nothing.
type tokenizer struct {
	special []string
	tokens  []string // in GPT-2's printable form of bytes
	merges  []string
	rank    map[pair]int
	id      map[string]int
	symbol  [256]string // the printable form of a byte
}

// newTokenizer learns merges from the documents until there are vocab tokens
// or nothing is left to merge.
func newTokenizer(docs []string, vocab int) *tokenizer {
	t := &tokenizer{special: specialTokens(), symbol: printableBytes(), rank: map[pair]int{}, id: map[string]int{}}
	for _, s := range t.special {
		t.add(s)
	}
	for b := range 256 {
		t.add(t.symbol[b])
	}
	words := t.countWords(docs)
	for len(t.tokens) < vocab {
		best, ok := commonest(words)
		if !ok {
			break
		}
		t.rank[best] = len(t.merges)
		t.merges = append(t.merges, best[0]+" "+best[1])
		t.add(best[0] + best[1])
		for i := range words {
			words[i].symbols = merge(words[i].symbols, best)
		}
	}
	return t
}

func (t *tokenizer) add(token string) {
	t.id[token] = len(t.tokens)
	t.tokens = append(t.tokens, token)
}

// word is one distinct piece of the text and how often it occurs.
type word struct {
	symbols []string
	count   int
}

func (t *tokenizer) countWords(docs []string) []word {
	var strip []string
	for _, s := range t.special {
		strip = append(strip, s, "\n")
	}
	replacer := strings.NewReplacer(strip...)
	count := map[string]int{}
	for _, d := range docs {
		for _, p := range pieces(replacer.Replace(d)) {
			count[p]++
		}
	}
	words := make([]word, 0, len(count))
	for p, n := range count { // in any order: only sums are taken
		words = append(words, word{t.symbols(p), n})
	}
	return words
}

// commonest returns the most frequent pair, of equals the first by its text.
func commonest(words []word) (best pair, ok bool) {
	counts := map[pair]int{}
	for _, w := range words {
		for i := 1; i < len(w.symbols); i++ {
			counts[pair{w.symbols[i-1], w.symbols[i]}] += w.count
		}
	}
	most := 0
	for p, n := range counts {
		if n > most || n == most && slices.Compare(p[:], best[:]) < 0 {
			best, most = p, n
		}
	}
	return best, most > 0
}

func merge(symbols []string, p pair) []string {
	out := make([]string, 0, len(symbols))
	for i := 0; i < len(symbols); i++ {
		if i+1 < len(symbols) && symbols[i] == p[0] && symbols[i+1] == p[1] {
			out = append(out, p[0]+p[1])
			i++
			continue
		}
		out = append(out, symbols[i])
	}
	return out
}

// pieces cuts text into letters with an optional space before, and single other characters.
func pieces(s string) []string {
	var out []string
	r := []rune(s)
	for i := 0; i < len(r); {
		j := i
		if r[j] == ' ' && j+1 < len(r) && unicode.IsLetter(r[j+1]) {
			j++
		}
		if unicode.IsLetter(r[j]) {
			for j < len(r) && unicode.IsLetter(r[j]) {
				j++
			}
		} else {
			j++
		}
		out = append(out, string(r[i:j]))
		i = j
	}
	return out
}

func (t *tokenizer) symbols(piece string) []string {
	symbols := make([]string, 0, len(piece))
	for _, b := range []byte(piece) {
		symbols = append(symbols, t.symbol[b])
	}
	return symbols
}

func (t *tokenizer) encode(s string) []int {
	var out []int
	for s != "" {
		at, special := t.nextSpecial(s)
		for _, p := range pieces(s[:at]) {
			for _, symbol := range t.mergeAll(t.symbols(p)) {
				out = append(out, t.id[symbol])
			}
		}
		if special != "" {
			out = append(out, t.id[special])
		}
		s = s[at+len(special):]
	}
	return out
}

// nextSpecial finds the first special token in s; without any it gives len(s) and "".
func (t *tokenizer) nextSpecial(s string) (at int, special string) {
	at = len(s)
	for _, candidate := range t.special {
		if k := strings.Index(s, candidate); k >= 0 && k < at {
			at, special = k, candidate
		}
	}
	return at, special
}

// mergeAll applies the merges in the order in which they were learnt.
func (t *tokenizer) mergeAll(symbols []string) []string {
	for {
		best, rank := pair{}, -1
		for i := 1; i < len(symbols); i++ {
			p := pair{symbols[i-1], symbols[i]}
			if r, ok := t.rank[p]; ok && (rank < 0 || r < rank) {
				best, rank = p, r
			}
		}
		if rank < 0 {
			return symbols
		}
		symbols = merge(symbols, best)
	}
}

func (t *tokenizer) decode(ids []int) string {
	back := map[rune]byte{}
	for b, s := range t.symbol {
		back[[]rune(s)[0]] = byte(b)
	}
	var text strings.Builder
	for _, id := range ids {
		if id < len(t.special) {
			text.WriteString(t.special[id])
			continue
		}
		for _, r := range t.tokens[id] {
			text.WriteByte(back[r])
		}
	}
	return text.String()
}

// printableBytes is GPT-2's table: bytes that print stand for themselves, the
// others for characters from 256 on.
func printableBytes() (table [256]string) {
	n := 0
	for b := range 256 {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			table[b] = string(rune(b))
		} else {
			table[b] = string(rune(256 + n))
			n++
		}
	}
	return table
}
