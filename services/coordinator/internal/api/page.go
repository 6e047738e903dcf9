package api

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/aitbc/aitbc/services/internal/apierr"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// pageToken says where a list goes on: the list's kind and filter, then the last key that was given.
// On the wire it is opaque: base64url of a version byte, 8 bytes of the SHA-256 of kind and filter,
// and the key.
type pageToken struct {
	// list names the list and its filter, so that a token of another list is refused.
	list string
	// key is the last key that was given; nil: from the start.
	key []byte
}

const (
	tokenVersion = 1
	listHashSize = 8
)

func (t pageToken) String() string {
	raw := append([]byte{tokenVersion}, listHash(t.list)...)
	return base64.RawURLEncoding.EncodeToString(append(raw, t.key...))
}

func listHash(list string) []byte {
	sum := sha256.Sum256([]byte(list))
	return sum[:listHashSize]
}

// parsePageToken reads the token of the list; the empty text is the first page. Only what String
// writes is taken.
func parsePageToken(text, list string) (pageToken, error) {
	t := pageToken{list: list}
	if text == "" {
		return t, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) <= 1+listHashSize || raw[0] != tokenVersion {
		return t, apierr.InvalidField("page_token", "must be a next_page_token of an earlier answer")
	}
	if string(raw[1:1+listHashSize]) != string(listHash(list)) {
		return t, apierr.InvalidField("page_token", "is of another list or filter; begin again without it")
	}
	t.key = raw[1+listHashSize:]
	return t, nil
}

func pageSize(asked int32) int {
	switch {
	case asked == 0:
		return defaultPageSize
	case asked > maxPageSize:
		return maxPageSize
	default:
		return int(asked)
	}
}

// page cuts a page out of a whole list in memory that is sorted by key.
func page[T any](all []T, key func(T) string, list, tokenText string, asked int32) ([]T, string, error) {
	token, err := parsePageToken(tokenText, list)
	if err != nil {
		return nil, "", err
	}
	start := 0
	for start < len(all) && token.key != nil && key(all[start]) <= string(token.key) {
		start++
	}
	rest := all[start:]
	size := pageSize(asked)
	if len(rest) <= size {
		return rest, "", nil
	}
	return rest[:size], pageToken{list: list, key: []byte(key(rest[size-1]))}.String(), nil
}

func jobsList(client fmt.Stringer, status string) string {
	return "jobs/" + client.String() + "/" + status
}
