package verify_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/verify"
)

func aFile(t *testing.T) (file []byte, trusted aitbc.Hash) {
	t.Helper()
	w := newWorldOf(t, 4)
	file, err := w.prove(t, verify.At{}).Encode()
	require.NoError(t, err)
	return file, w.chain.BlockHash()
}

// check is what `aitbc receipt verify` does with a file.
func check(file []byte, trusted aitbc.Hash) error {
	b, err := verify.Decode(file)
	if err != nil {
		return err
	}
	return verify.Receipt(b, trusted)
}

// Every bit of every byte would be slow under the race detector; these two make of a digit or a
// letter another one, and of a letter the same one in the other case.
func TestAFileWithAnyByteChangedIsRefused(t *testing.T) {
	t.Parallel()
	file, trusted := aFile(t)
	require.NoError(t, check(file, trusted))
	broken := map[verify.Link]int{}
	for i := range file {
		for _, bit := range []byte{0x01, 0x20} {
			changed := bytes.Clone(file)
			changed[i] ^= bit
			err := check(changed, trusted)
			require.Error(t, err, "byte %d: %q instead of %q", i, changed[i], file[i])
			var link *verify.LinkError
			require.ErrorAs(t, err, &link)
			broken[link.Link]++
		}
	}
	t.Logf("%d bytes; refused by: %v", len(file), broken)
	for _, link := range []verify.Link{
		verify.LinkFile, verify.LinkReceipt, verify.LinkLog, verify.LinkAppHash, verify.LinkHeader, verify.LinkValidators, verify.LinkSignatures,
	} {
		require.NotZero(t, broken[link], "nothing was refused by %s", link)
	}
}

func TestAFileWithoutAnyOfItsBytesIsRefused(t *testing.T) {
	t.Parallel()
	file, trusted := aFile(t)
	for i := range file {
		require.Error(t, check(append(bytes.Clone(file[:i]), file[i+1:]...), trusted), "without byte %d", i)
	}
}

// Every value is changed to another one of its kind, in a file that is otherwise in order: what
// refuses it is a signature or a hash, not the form.
func TestAFileWithAnyValueChangedIsRefusedByWhatItSays(t *testing.T) {
	t.Parallel()
	file, trusted := aFile(t)
	lines := strings.SplitAfter(string(file), "\n")
	refused := map[string]verify.Link{}
	for i, line := range lines {
		changed, ok := otherValue(t, line)
		if !ok {
			continue
		}
		all := append([]string{}, lines...)
		all[i] = changed
		err := check([]byte(strings.Join(all, "")), trusted)
		var link *verify.LinkError
		require.ErrorAs(t, err, &link, "%q instead of %q", changed, line)
		name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		require.NotEqual(t, verify.LinkFile, link.Link, "%q instead of %q: %v", changed, line, err)
		refused[name] = link.Link
	}
	require.Greater(t, len(refused), 40, "%v", refused)
}

// otherValue changes the value of a line of the file, so that the line is still one.
func otherValue(t *testing.T, line string) (string, bool) {
	t.Helper()
	head, value, found := strings.Cut(strings.TrimRight(line, ",\n"), ": ")
	tail := line[len(strings.TrimRight(line, ",\n")):]
	if !found {
		head, value = "", strings.TrimSpace(value+head)
	} else {
		head += ": "
	}
	if strings.Contains(head, `"format"`) {
		return "", false
	}
	if indent := line[:len(line)-len(strings.TrimLeft(line, " "))]; head == "" {
		head = indent
	}
	var number json.Number
	var text string
	switch {
	case json.Unmarshal([]byte(value), &number) == nil && value[0] != '"':
		digit := value[len(value)-1]
		return head + value[:len(value)-1] + string('0'+(digit-'0'+1)%9+1) + tail, true
	case json.Unmarshal([]byte(value), &text) == nil:
		return head + otherText(t, text) + tail, true
	}
	return "", false
}

func otherText(t *testing.T, text string) string {
	t.Helper()
	if moment, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return encoded(t, moment.Add(time.Nanosecond))
	}
	if amount, err := aitbc.ParseAmount(text); err == nil {
		return encoded(t, amount+1)
	}
	if account, err := aitbc.ParseAccountID(text); err == nil {
		account[3] ^= 1
		return encoded(t, account)
	}
	// Hex, base64, an id or a name: another letter that all of them have, where any may stand.
	at := len(text) / 2
	letter := "a"
	if text[at:at+1] == letter {
		letter = "b"
	}
	return encoded(t, text[:at]+letter+text[at+1:])
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(v))
	return strings.TrimSpace(b.String())
}

func TestFilesInAnotherFormAreRefused(t *testing.T) {
	t.Parallel()
	file, trusted := aFile(t)
	replace := func(old, with string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, with, 1) }
	}
	for name, change := range map[string]func(string) string{
		"empty":                        func(string) string { return "" },
		"only null":                    func(string) string { return "null\n" },
		"a list":                       func(string) string { return "[]\n" },
		"too large":                    func(s string) string { return s + strings.Repeat(" ", verify.MaxFileBytes) },
		"another version":              replace("aitbc-receipt-v1", "aitbc-receipt-v2"),
		"no newline at the end":        func(s string) string { return strings.TrimSuffix(s, "\n") },
		"something after it":           func(s string) string { return s + "{}" },
		"a space more":                 replace(": ", ":  "),
		"a field in another case":      replace(`"proof"`, `"Proof"`),
		"a field that nobody knows":    replace(`"proof": {`, `"proof": {"x": 1,`),
		"a field twice":                replace(`"app_version": 0,`, `"app_version": 1, "app_version": 0,`),
		"null for nothing":             replace(`"app_version": 0`, `"app_version": null`),
		"a number as a fraction":       replace(`"app_version": 0`, `"app_version": 0.0`),
		"a time in another zone":       replace(`000000005Z",`, `000000005+00:00",`),
		"a time with needless zeros":   replace(`000000005Z"`, `0000000050Z"`),
		"an amount with needless zero": replace(`"0.03aitbc"`, `"0.030aitbc"`),
		"an escape":                    replace(`"an answer`, `"\u0061n answer`),
		"hex in capitals":              func(s string) string { return strings.Replace(s, `"result_hash": "`, `"result_hash": "A`, 1) },
		"not UTF-8":                    replace("an answer", "an \xff answer"),
		"half a character":             replace("an answer", `an \ud800 answer`),
		"a span too long to count":     replace(`"metered_us": 1500000`, `"metered_us": 2305843009215193952`),
		"a proposer of another length": replace(`"proposer_address": "`, `"proposer_address": "00`),
		"a time of a vote that is not": replace(`"power": 997`, `"power": 997,`+"\n      "+`"signed_at": "2026-01-02T03:04:05Z"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := change(string(file))
			require.NotEqual(t, string(file), changed, "the test changes nothing")
			requireLink(t, check([]byte(changed), trusted), verify.LinkFile)
		})
	}
}

func TestABundleThatIsNoneIsNotEncoded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, change := range map[string]func(*verify.Bundle){
		"no receipt":                func(b *verify.Bundle) { b.Receipt = nil },
		"a result that is no text":  func(b *verify.Bundle) { b.Result = []byte{0xff} },
		"a hash that is short":      func(b *verify.Bundle) { b.Block.Header.DataHash = []byte{1} },
		"a time over the year 9999": func(b *verify.Bundle) { b.Block.Header.Time = time.Unix(1<<40, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := w.prove(t, verify.At{})
			change(b)
			_, err := b.Encode()
			require.Error(t, err)
		})
	}
}

// Whatever the bytes: no panic, and what is read is written again as it was.
func FuzzDecode(f *testing.F) {
	sample, err := os.ReadFile("testdata/receipt.json")
	require.NoError(f, err)
	f.Add(sample)
	for _, line := range []int{20, 40, 80, 100} {
		lines := strings.SplitAfter(string(sample), "\n")
		f.Add([]byte(strings.Join(append(lines[:line:line], lines[line+1:]...), "")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := verify.Decode(data)
		if err != nil {
			require.ErrorIs(t, err, aitbc.ErrReceipt)
			return
		}
		again, err := b.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
		// Past the signatures of the papers, which no fuzzer gets over, to what reads the chain.
		leaf, err := verify.LeafOf(b.Receipt, b.Proof.LogIndex)
		if err == nil {
			_ = verify.Leaf(leaf, &b.Proof, &b.Block, b.Block.Hash())
		}
		_ = verify.Consistent(b)
	})
}
