package aitbc

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

type canonicalOption struct {
	name  string
	value []byte
}

// canonicalOptions gathers option values as RFC 8785 writes them, and the first error.
type canonicalOptions struct {
	set []canonicalOption
	err error
}

func (c *canonicalOptions) format(text string) {
	switch {
	case text == "":
		return
	case !utf8.ValidString(text):
		c.err = fmt.Errorf("option format: %w: text is not UTF-8", ErrMalformed)
	case text == FormatJSON:
		text = `"` + text + `"`
	}
	c.set = append(c.set, canonicalOption{"format", []byte(text)})
}

func (c *canonicalOptions) integer(name string, v *int32) {
	if v != nil {
		c.set = append(c.set, canonicalOption{name, strconv.AppendInt(nil, int64(*v), 10)})
	}
}

func (c *canonicalOptions) float(name string, v *float64) {
	switch {
	case v == nil:
	case math.IsNaN(*v) || math.IsInf(*v, 0):
		c.err = fmt.Errorf("option %s: %w: %v", name, ErrMalformed, *v)
	case *v == 0: // minus zero is zero; encoding/json would keep its sign
		c.set = append(c.set, canonicalOption{name, []byte("0")})
	default:
		value, err := json.Marshal(*v) // for any other number the same as RFC 8785
		if err != nil {
			c.err = fmt.Errorf("option %s: %w", name, err)
		}
		c.set = append(c.set, canonicalOption{name, value})
	}
}

func (c *canonicalOptions) texts(name string, list []string) {
	if len(list) == 0 {
		return
	}
	value := []byte{'['}
	for i, s := range list {
		if !utf8.ValidString(s) {
			c.err = fmt.Errorf("option %s: %w: text is not UTF-8", name, ErrMalformed)
		}
		if i > 0 {
			value = append(value, ',')
		}
		value = appendCanonicalText(value, s)
	}
	c.set = append(c.set, canonicalOption{name, append(value, ']')})
}

// CanonicalText gives a text as RFC 8785 writes it, without the quotes. What it makes of the parts of a
// text is, one behind the other, what it makes of the whole.
func CanonicalText(s string) string {
	quoted := appendCanonicalText(nil, s)
	return string(quoted[1 : len(quoted)-1])
}

// appendCanonicalText writes a string as RFC 8785 does. encoding/json cannot: it escapes <, >, &,
// U+2028 and U+2029.
func appendCanonicalText(b []byte, s string) []byte {
	const short = "\"\"\\\\\bb\ff\nn\rr\tt" // pairs: the byte and its letter
	b = append(b, '"')
next:
	for i := range len(s) {
		for k := 0; k < len(short); k += 2 {
			if s[i] == short[k] {
				b = append(b, '\\', short[k+1])
				continue next
			}
		}
		if s[i] < 0x20 {
			b = fmt.Appendf(b, `\u%04x`, s[i])
			continue
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
