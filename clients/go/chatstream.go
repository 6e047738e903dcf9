package aitbc

import (
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// ChatStream reads the answer of a chat while it is made. The text that a watcher of the job sees is
// the beginning of the result, which is JSON; this takes it piece by piece and gives what is new of
// content and thinking. Its zero value is at the start; after [EventReset] use a new one. Tool calls
// are in the whole result: [ParseAnswer].
//
// What a miner sends before it has signed it can be anything: of a text that is no assistant's message
// nothing is given.
type ChatStream struct {
	// depth counts the open objects and lists, place is what comes next in the outermost object.
	depth int
	place place
	// key is the name of the member that is being read.
	key []byte
	// escape is an escape sequence whose end has not come; high is a first half of a surrogate pair.
	escape []byte
	high   rune
	out    ChatDelta
}

// ChatDelta is what a piece adds.
type ChatDelta struct {
	// Content and Thinking go behind what was given before.
	Content  string
	Thinking string
}

// place is where in the JSON the reader is.
type place uint8

const (
	atName   place = iota // before a member's name, or outside of the object
	inName                // in a member's name
	atValue               // behind a name
	inText                // in a text
	inNested              // in something that is no text of the outermost object
	inNestedText
)

// Add takes the next piece.
func (s *ChatStream) Add(piece string) ChatDelta {
	s.out = ChatDelta{}
	for i := 0; i < len(piece); {
		_, size := utf8.DecodeRuneInString(piece[i:])
		s.step(piece[i : i+size])
		i += size
	}
	return s.out
}

func (s *ChatStream) step(char string) {
	if s.place == inName || s.place == inText || s.place == inNestedText {
		s.text(char)
		return
	}
	switch char[0] {
	case '"':
		switch {
		case s.depth > 1:
			s.place = inNestedText
		case s.place == atValue:
			s.place = inText
		case s.depth == 1:
			s.place, s.key = inName, s.key[:0]
		}
	case '{', '[':
		if s.depth++; s.depth > 1 {
			s.place = inNested
		}
	case '}', ']':
		if s.depth--; s.depth == 1 {
			s.place = atName
		}
	case ',':
		if s.depth == 1 {
			s.place = atName
		}
	}
}

// text takes a character of a text.
func (s *ChatStream) text(char string) {
	switch {
	case len(s.escape) > 0:
		if s.escape = append(s.escape, char...); s.escape[1] != 'u' || len(s.escape) == len(`\u0000`) {
			s.unescape()
			s.escape = s.escape[:0]
		}
	case char == `\`:
		s.escape = append(s.escape, '\\')
	case char == `"`:
		s.place = map[place]place{inName: atValue, inText: atName, inNestedText: inNested}[s.place]
	default:
		s.say(char)
	}
}

// unescape says what the escape sequence stands for.
func (s *ChatStream) unescape() {
	if s.escape[1] == 'u' {
		var unit rune
		for _, digit := range s.escape[2:] {
			unit = unit<<4 | rune(unhexDigit(digit))
		}
		switch {
		case s.high != 0:
			s.say(string(utf16.DecodeRune(s.high, unit)))
			s.high = 0
		case utf16.IsSurrogate(unit):
			s.high = unit
		default:
			s.say(string(unit))
		}
		return
	}
	var char string
	if json.Unmarshal([]byte(`"`+string(s.escape)+`"`), &char) == nil {
		s.say(char)
	}
}

func unhexDigit(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	default:
		return c - '0'
	}
}

// maxName bounds the name of a member that is kept: those that are looked for are shorter.
const maxName = 32

func (s *ChatStream) say(char string) {
	switch {
	case s.place == inName && len(s.key) < maxName:
		s.key = append(s.key, char...)
	case s.place == inText && string(s.key) == "content":
		s.out.Content += char
	case s.place == inText && string(s.key) == "thinking":
		s.out.Thinking += char
	}
}
