//go:build !unix

package toolbin

import "context"

// lock does nothing where there is no flock: two builders then do the work
// twice, and the second finds the folder of the first in its place.
func lock(context.Context, string) (func(), error) {
	return func() {}, nil
}
